"""Stands in for hivemind's p2pd: holds the peer-to-peer port, if there is a fixed one."""

import os
import signal
import socket
import sys

signal.alarm(int(os.environ.get("STANDIN_LIFETIME", "300")))
holder = socket.socket()
for argument in sys.argv[1:]:
    if argument.startswith("-hostAddrs=") and not argument.endswith("/tcp/0"):
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            holder.bind(("127.0.0.1", int(argument.rpartition("/")[2])))
        except OSError:
            sys.exit("failed to listen on any addresses")
        holder.listen()
# Tells the trainer that the daemon has started.
os.write(1, b"started\n")
while True:
    signal.pause()
