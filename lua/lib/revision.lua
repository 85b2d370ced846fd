-- revision.lua — the number of the last change, 0 when there was none.
--
-- The last id of the stream says so. Should the stream be lost, the quotas know what the last change of each was.
local function last_revision(hash, stream)
    if call('EXISTS', stream) == 1 then
        local about = call('XINFO', 'STREAM', stream)
        for i = 1, #about, 2 do
            if about[i] == 'last-generated-id' then
                local last = about[i + 1]:match('^%d+') + 0
                if last > 0 then
                    return last
                end
            end
        end
    end
    local highest = 0
    for _, value in ipairs(call('HVALS', hash)) do
        highest = math.max(highest, (value:match('^(%d+) ') or 0) + 0)
    end
    return highest
end
