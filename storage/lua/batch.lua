-- What a call of a script does once for all its items. A script is one step for everybody else, so what it has read
-- stays true while it runs, and what it adds up may be written when the last item is through.

local finishers = {}

-- Writes what was put off; the last thing that a script does.
local function finish()
  for _, write in ipairs(finishers) do write() end
end

-- Returns f with its results kept by its argument.
local function memo(f)
  local known = {}
  return function(key)
    local value = known[key]
    if value == nil then
      value = f(key)
      known[key] = value
    end
    return value
  end
end

-- What an event is of: offer, creative, channel, placement, category and names, as storage/entry.py has it.
local resolved = memo(cmsgpack.unpack)
