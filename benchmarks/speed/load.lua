-- wrk's side of a load: POSTs whose bodies differ by a number, each sent once.
-- Arguments: path, tenant, key, body with %d where the number goes, a number that no other run has.

local path, headers, body, run, count

function init(args)
  path, run, count = args[1], tonumber(args[5]), 0
  body = args[4]
  headers = {["Content-Type"] = "application/json", ["X-Tenant-Id"] = args[2], ["Authorization"] = "Bearer " .. args[3]}
end

function request()
  count = count + 1
  local number = string.format('%d', run * 10000000 + count)
  return wrk.format("POST", path, headers, (string.gsub(body, '%%d', number)))
end
