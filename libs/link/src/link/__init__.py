"""Links: how members and gateways talk to each other, as frames over one TCP connection.

- `frames`: the bytes of a frame, an encoder and an incremental decoder. Pure.
- `tls`: TLS 1.3 at one end, bytes in and bytes out. Both ends prove by certificates who they are.
- `hello`: how a link begins after that, and what each end checks. Pure.
- `purposes`: what a link is for, who may open one, and which frames each end may send on it.
- `admission`: how many connections may be without a proof at a time.
- `connection`: one end of a link on an event loop; `outgoing`: its frames on their way out.
  `dialing` calls, `listening` is called.
- `carrying`: a link inside another link, past a member that relays it.
- `asking`: questions with one answer each, over a link that is kept while it is used.
- `errors`: why a link ends.

A caller opens a connection and begins TLS 1.3 (RFC 8446). Each end shows a certificate of an
authority that the other trusts. Inside TLS each end sends `MAGIC`, then frames. A frame is a length
(u32), a kind (u8), a CRC32C (u32), all little-endian, and the payload, a message of
`proto/inventory/raft/v1`. The CRC covers the number of the frame in its direction, the kind and the
payload. So a frame that is cut, doubled or overtaken by a mistake in either program ends the link.

The hello has two frames: HELLO, ACCEPTED. The caller says what the link is for and which member it
wants. Each end compares that with the other end's certificate (`purposes.MAY_OPEN`). A member's
certificate speaks for this member alone.

From then on each end sends a PING twice a second. An end that hears nothing for two seconds takes
the link for dead, also if the system still accepts its bytes. Whoever breaks a rule gets REFUSED
with a sentence, and the connection ends. The process goes on.

Caveats: certificates are compared when a link is opened, and not again while it is open. A link
that breaks may lose what was sent: its users repeat what matters.
"""
