"""How the cluster is, for people and for machines: a process of its own.

It looks at every member by itself, so that it can tell a dead gateway from a dead cluster, and it
writes and reads through the gateway as clients do:

- each second it asks every member how it sees itself (`ForwardService.GetMember`, by a key that
  opens nothing else), and gateway and assistant for their gRPC health;
- every two seconds, as the machine user `health`, it commits an entry that changes nothing
  (`ClusterService.Probe`), and makes a linearizable read.

The rooms: `facts` is what is known at one moment; `findings` makes sentences of it, each with what
to do, and `serving` answers; both are pure. `watching` and `canaries` ask, `web` and `page` show,
`metrics` counts. `config` has the settings.

What it serves: gRPC health under "" (itself), `cluster` (a majority follows one leader, and what it
was given is committed), `writes`, `reads` and `node/<name>`, besides the three names of every
service; HTTP /livez, /readyz, /healthz (503 when writes cannot commit), /status (JSON), the page
and the runbooks.

Caveats: what it says is up to a round old, two with a member that does not answer. It sees two
leaders of one term only while each of them is seen to lead. It keeps nothing on a disk: elections
are what the members remember, and one that began anew does not know who has a vote before a member
says so. It changes nothing: who mends is a person.
"""
