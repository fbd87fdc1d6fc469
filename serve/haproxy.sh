#!/bin/sh
# Runs HAProxy for Ray Serve with three changes that Ray has no setting for: its metrics and statistics listen on
# loopback, its admin socket is open to its owner alone, and the replica is told that nobody's leaving matters, which
# spares it two tasks a request. And it ends when its parent does, however that ends.
prev=
for arg; do
  if [ "$prev" = -f ]; then
    sed -i -e 's/^    bind :/    bind 127.0.0.1:/' -e 's/^  bind \*:/  bind 127.0.0.1:/' -e 's/ mode 666 / mode 600 /' \
      -e 's/^    http-reuse always/&\n    http-request set-header x-request-disconnect-disabled ?1/' "$arg"
  fi
  prev=$arg
done
exec setpriv --pdeathsig KILL -- "$HAPROXY_REAL" "$@"
