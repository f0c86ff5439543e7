"""The protocol: what clients, gateways and members say to each other in the same way.

- `errors`: the one list of reasons, with the gRPC code and the sentence of each; refusals are
  `google.rpc.Status` values with one `ErrorInfo` (AIP-193).
- `bounds`: what a message may hold, as the schema says. The gateway checks it, and the leader
  again. `checker` compiles the checks from descriptors.
- `money`: `google.type.Money` to integer minor units and back. No float on the way.
- `text`: the form in which text is compared, and what a name may hold.
- `channels`: gRPC options, and refusals in and out of gRPC. `outbox`: the writer of a stream.
- `addresses`: how members are named, and where they are found.

The generated stubs are beside this package, under `inventory`.
"""
