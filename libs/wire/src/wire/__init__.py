"""The protocol: the conventions that clients, gateways and members share.

- `errors`: the one list of reasons, with the gRPC code and the sentence of each. A refusal is a
  `google.rpc.Status` with one `ErrorInfo` (AIP-193).
- `bounds`: the bounds of a message, from the schema. The gateway checks the bounds, and the leader
  checks them again. `checker` compiles the checks from descriptors.
- `money`: `google.type.Money` to integer minor units and back, without a float.
- `text`: the form in which texts are compared, and the characters that a name may hold.
- `channels`: gRPC options, and refusals in and out of gRPC. `outbox`: the writer of a stream.
- `addresses`: the form of members' names and addresses.

The generated stubs are beside this package, under `inventory`.
"""
