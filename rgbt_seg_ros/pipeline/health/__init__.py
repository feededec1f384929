"""Whether the pictures of a camera can be trusted: what is wrong with a stream, told from its stamps and its pixels."""
