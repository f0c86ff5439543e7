"""Links: how members and gateways talk to each other, as frames over one TCP connection.

- `frames`: the bytes of a frame, an encoder and an incremental decoder. Pure.
- `hello`: how a link begins. Both ends say who they are and prove that they hold the same key.
  Pure.
- `purposes`: what a link is for, and which frames each end may send on it.
- `admission`: how many connections may be without a proof at a time.
- `connection`: one end of a link on an event loop. `dialing` calls, `listening` is called.
- `asking`: questions with one answer each, over a link that is kept while it is used.
- `errors`: why a link ends.

A caller opens a connection and sends `MAGIC`, then frames. A frame is a length (u32), a kind (u8),
a CRC32C (u32), all little-endian, and the payload, a message of `proto/inventory/raft/v1`. The
CRC covers the number of the frame in its direction, the kind and the payload, and begins with a
value that belongs to this link alone. So a frame that is cut, doubled, overtaken or of another
link ends the link.

The hello has four frames: HELLO, CHALLENGE, PROOF, ACCEPTED. The caller proves itself first, since
it is easier to connect to a member than to be connected to. The proofs are HMAC-SHA256 by the
shared key over all that was said, so the key never travels, and a proof is worth nothing elsewhere.

From then on each end sends a PING each second. An end that hears nothing for two seconds takes the
link for dead, also if the system still accepts its bytes. Whoever breaks a rule gets REFUSED with a
sentence, and the connection ends. The process goes on.

Caveats: a link is not encrypted, and whoever can change bytes on the way can speak for both ends
after the hello. A link that breaks may lose what was sent: its users repeat what matters.
"""
