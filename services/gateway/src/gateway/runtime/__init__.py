"""The gateway's sockets: clients on one side, members on the other."""
