"""Certificates of the processes of one cluster: who a process is, and who vouches for it.

A cluster has an authority of its own. The authority vouches for the name of each process, and a
process speaks TLS 1.3 with nobody for whom the authority does not vouch.

- `identities`: the names, and how a certificate carries a name.
- `authority`: makes an authority's certificate and the certificates under it (RFC 5280).
- `folder`: the files of an authority, and the three steps of its rotation.
- `secret_files`: who may read, write or replace the file of a key.
- `contexts`: what a process needs of these files to listen and to connect, read again on a change.
"""
