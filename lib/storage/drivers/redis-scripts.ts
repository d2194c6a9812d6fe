/**
 * The scripts of the Redis driver. The index holds each key with "!" for ":", which sorts before all that a key may hold:
 * so what is below a name follows it at once, and names come in the order of their own (ZRANGEBYLEX, bytewise).
 */

/**
 * All changes or none. KEYS: the index, then the records. ARGV for each record: its key; "any", "none" or "is", and what
 * must stand there; "none" or "is", and what is to.
 */
export const changeScript = `
for i = 2, #KEYS do
  local at = (i - 2) * 5
  local held = ARGV[at + 2]
  if held ~= 'any' then
    local value = redis.call('GET', KEYS[i])
    if held == 'none' and value then return 0 end
    if held == 'is' and value ~= ARGV[at + 3] then return 0 end
  end
end
for i = 2, #KEYS do
  local at = (i - 2) * 5
  local member = string.gsub(ARGV[at + 1], ':', '!')
  if ARGV[at + 4] == 'is' then
    redis.call('SET', KEYS[i], ARGV[at + 5])
    redis.call('ZADD', KEYS[1], 0, member)
  else
    redis.call('UNLINK', KEYS[i])
    redis.call('ZREM', KEYS[1], member)
  end
end
return 1`;

/** One page of names. KEYS: the index. ARGV: prefix, "asc" or "desc", the name to begin behind ("": none), limit (0: none). */
export const childrenScript = `
local base = string.gsub(ARGV[1], ':', '!')
if base ~= '' then base = base .. '!' end
local reverse = ARGV[2] == 'desc'
local limit = tonumber(ARGV[4])
local floor, ceiling = '[' .. base, '(' .. base .. string.char(255)
if base == '' then floor, ceiling = '-', '+' end
local function beyond(name)
  -- What lies below a name begins with "!", the next name with something that comes after.
  if reverse then ceiling = '(' .. base .. name else floor = '[' .. base .. name .. '"' end
end
if ARGV[3] ~= '' then beyond(ARGV[3]) end
local names = {}
local many = 100
while true do
  local members
  if reverse then members = redis.call('ZREVRANGEBYLEX', KEYS[1], ceiling, floor, 'LIMIT', 0, many)
  else members = redis.call('ZRANGEBYLEX', KEYS[1], floor, ceiling, 'LIMIT', 0, many) end
  for _, member in ipairs(members) do
    local rest = string.sub(member, #base + 1)
    local cut = string.find(rest, '!', 1, true)
    local name = cut and string.sub(rest, 1, cut - 1) or rest
    names[#names + 1] = name
    beyond(name)
    if #names == limit then return names end
    -- A folder: the members behind it may be hundreds of its own.
    if cut then break end
  end
  if #members == 0 then return names end
end`;

/** Removes some hundreds of the records below a prefix, and tells how many. KEYS: the index. ARGV: base of records, prefix. */
export const clearScript = `
local prefix = string.gsub(ARGV[2], ':', '!')
local members = redis.call('ZRANGEBYLEX', KEYS[1], '[' .. prefix, '(' .. prefix .. string.char(255), 'LIMIT', 0, 500)
for _, member in ipairs(members) do
  local key = string.gsub(member, '!', ':')
  redis.call('UNLINK', ARGV[1] .. ':' .. key)
  redis.call('ZREM', KEYS[1], member)
end
return #members`;
