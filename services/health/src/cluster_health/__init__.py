"""How the cluster is, for people and for machines: a process of its own.

It asks every member directly, so that it can tell a dead gateway from a dead cluster. It also
writes and reads through the gateway as clients do:

- each second it asks every member to describe itself (`ForwardService.GetMember`, by a key that
  opens nothing else), and asks gateway and assistant for their gRPC health;
- every two seconds, as the machine user `health`, it commits an entry that changes nothing
  (`ClusterService.Probe`), and makes a linearizable read.

The rooms: `facts` has the facts of one moment. `findings` makes sentences of facts, each with what
to do; `serving` makes the answers of gRPC health; both are pure. `watching` and `canaries` gather
facts, `web` and `page` show them, `metrics` counts. `config` has the settings.

What it serves: gRPC health under "" (the service itself), `cluster` (a majority follows one leader,
which commits its entries), `writes`, `reads` and `node/<name>`, besides the three names of every
service; HTTP /livez, /readyz, /healthz (503 when writes cannot commit), /status (JSON), the page
and the runbooks.

Caveats: the facts are up to one round old, or two rounds with a member that does not answer. Two
leaders of one term are found only if both were seen to lead. Nothing is kept on a disk: elections
are known as far as the members remember them, and after a start nobody knows who has a vote until a
member tells. The service changes nothing: a person mends the cluster.
"""

import service.quiet  # noqa: F401 - before anything imports gRPC
