#!/bin/sh
# Runs HAProxy for Ray Serve with what haproxy.sed changes in its configuration; and it ends when its parent does,
# however that ends.
prev=
for arg; do
  if [ "$prev" = -f ]; then
    sed -i -f "${0%/*}/haproxy.sed" "$arg"
  fi
  prev=$arg
done
exec setpriv --pdeathsig KILL -- "$HAPROXY_REAL" "$@"
