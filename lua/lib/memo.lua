-- memo.lua — an idempotency key's fingerprint and reply, so that what is asked for again is not done again.
--
-- Joined to scripts by lua/embed.sh; it wants `call` and `unpack`. In an argument a memo is 16 bytes of fingerprint and
-- '<i8' ttl_ms. What is kept is the fingerprint, then what the asker wants kept with it, if anything, and the reply.

-- The whole reply to one who asks again, whatever his fingerprint; nil: nobody has asked before.
local function memo_reply(key)
    local kept = call('GET', key)
    return kept and '\2' .. kept
end

-- Keeps what is to be said then, under the memo that stands in `argument` from byte `from` on.
local function memo_keep(key, argument, from, reply)
    local ttl = unpack('<i8', argument, from + 16)
    call('SET', key, argument:sub(from, from + 15) .. reply, 'PX', string.format('%d', ttl))
end
