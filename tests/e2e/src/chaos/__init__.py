"""Real processes under load while some of them are killed, and the judgement of the results.

`up` runs the product's own supervisor (`inventory up`) and finds its members' pids; `workload` is
eight clients that order, read and adjust through the gateway and write down what they saw, one JSON
line an operation; `verdict` compares their accounts with the state that the cluster ends in. A test
is a list of faults between the start of a workload and its verdict, which `judging` puts together.
`cluster` is the same system without a supervisor, so that a test starts, arms and wipes a member by
name; `soak` draws faults for as long as it is let.
"""
