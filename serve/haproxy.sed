# What the configuration that Ray Serve writes for HAProxy is changed to; see haproxy.sh. HAProxy 2.8.

# Metrics and statistics listen on loopback, the admin socket is open to its owner alone.
s/^    bind :/    bind 127.0.0.1:/
s/^  bind \*:/  bind 127.0.0.1:/
s/ mode 666 / mode 600 /

# The replica is told that nobody's leaving matters, which spares it two tasks a request.
s/^    http-reuse always/&\
    http-request set-header x-request-disconnect-disabled ?1\
    timeout queue 500ms/

# Connections to replicas are kept although clients hold most of the others: by default each request of a crowd would open
# one, and reset it, of which uvicorn keeps 8 KB for a minute and a half.
s/^    nbthread .*/&\
    tune.pool-low-fd-ratio 80\
    tune.pool-high-fd-ratio 90/

# A replica gets no more requests than it works on at a time. The rest queues here, for half a second at most, and whoever
# has sent the fewest in the last second goes first: by API key, for at this place nobody knows yet whose that is.
s/^    server .* check.*/& maxconn "${HAPROXY_ONGOING}"/
/^frontend http_frontend/,/^    bind /s/^    bind .*/&\
    stick-table type integer size 100k expire 2s store http_req_rate(1s)\
    http-request track-sc0 req.hdr(authorization),xxh32 if { req.hdr(authorization) -m found }\
    http-request track-sc0 int(0) unless { req.hdr(authorization) -m found }\
    http-request set-priority-offset sc_http_req_rate(0)/

# A request that does not arrive, head or the first 16 KiB of its body, waits here and not at a replica, where it would
# take the place of others, and no longer than 20 s. HTTP/1.1 alone is spoken. No line a request goes to port 514, where
# paths would be read by who listens there.
s/^    option httplog$/    timeout http-request 20s\
    option http-buffer-request\
    option disable-h2-upgrade/
/^    log global$/d

# What HAProxy answers by itself, for a replica that died in the middle of a request, or for want of any, is the 503
# that replicas answer, not Ray's 500 and 404 in plain text: the request may have been carried out, ask again. What
# asks for no path at all (`OPTIONS *`, `CONNECT host:80`) is refused. The same for what Ray's proxy, which stands in while
# no replica is there, and uvicorn say in plain text: errors of ours are JSON.
s/^    errorfile \(50[234]\) .*/    http-error status \1 content-type application\/json lf-string "{\\"error\\":{\\"code\\":\\"UNAVAILABLE\\",\\"message\\":\\"The service cannot do this right now, try again\\",\\"status\\":503,\\"requestId\\":\\"%[var(txn.id)]\\"}}" hdr Retry-After 1 hdr X-Request-Id %[var(txn.id)]/
s/^    http-request return status 404 .* not found.*/    http-request return status 400 content-type application\/json lf-string "{\\"error\\":{\\"code\\":\\"BAD_REQUEST\\",\\"message\\":\\"The target is no path\\",\\"status\\":400,\\"requestId\\":\\"%[var(txn.id)]\\"}}" hdr X-Request-Id %[var(txn.id)] if !{ path_beg \/ }\
    http-request return status 503 content-type application\/json lf-string "{\\"error\\":{\\"code\\":\\"UNAVAILABLE\\",\\"message\\":\\"The service cannot do this right now, try again\\",\\"status\\":503,\\"requestId\\":\\"%[var(txn.id)]\\"}}" hdr Retry-After 1 hdr X-Request-Id %[var(txn.id)]/
s/^    http-reuse always/&\
    http-response return status 503 content-type application\/json lf-string "{\\"error\\":{\\"code\\":\\"UNAVAILABLE\\",\\"message\\":\\"The service cannot do this right now, try again\\",\\"status\\":503,\\"requestId\\":\\"%[var(txn.id)]\\"}}" hdr Retry-After 1 hdr X-Request-Id %[var(txn.id)] if { status 404 500 502 503 504 } { res.hdr(content-type) -m beg text\/plain }/
/^frontend http_frontend/,/^    bind /s/^    bind .*/&\
    http-request set-var-fmt(txn.id) req_%[uuid]\
    http-request set-var(txn.id) req.hdr(x-request-id) if { req.hdr(x-request-id) -m reg ^[A-Za-z0-9._-]{1,128}$ }\
    http-after-response set-status 503 if { status 502 504 }/
