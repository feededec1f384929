"""What things cost on this machine: engines that run the network, and the stages around it. Behind ``rgbt-seg bench``.

``timing`` measures, interleaved, so that what disturbs the machine disturbs everything that is compared; ``networks`` does it for
engines, precisions and sizes, ``stages`` for what comes before and after the network; ``markdown`` writes the tables.
"""
