#!/bin/sh
# Runs HAProxy for Ray Serve with changes that Ray has no setting for:
# - its metrics and statistics listen on loopback, its admin socket is open to its owner alone;
# - the replica is told that nobody's leaving matters, which spares it two tasks a request;
# - a request that does not arrive, head or the first 16 KiB of its body, waits here and not at a replica, where it would
#   take the place of others, and no longer than 20 s;
# - it speaks HTTP/1.1 alone, and sends no line a request to port 514, where paths would be read by who listens there.
# And it ends when its parent does, however that ends.
prev=
for arg; do
  if [ "$prev" = -f ]; then
    sed -i -e 's/^    bind :/    bind 127.0.0.1:/' -e 's/^  bind \*:/  bind 127.0.0.1:/' -e 's/ mode 666 / mode 600 /' \
      -e 's/^    http-reuse always/&\n    http-request set-header x-request-disconnect-disabled ?1/' \
      -e 's/^    option httplog$/    timeout http-request 20s\n    option http-buffer-request\n    option disable-h2-upgrade/' \
      -e '/^    log global$/d' "$arg"
  fi
  prev=$arg
done
exec setpriv --pdeathsig KILL -- "$HAPROXY_REAL" "$@"
