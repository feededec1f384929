#!/bin/sh
# borrow_packages.sh LENDER BORROWER: let the Python BORROWER import what is installed for the Python LENDER; its own packages come
# first. For two ROS 2 distributions beside one torch.
set -eu
where='import sysconfig; print(sysconfig.get_path("purelib"))'
"$1" -c "$where" >"$("$2" -c "$where")/zz_borrowed.pth"
