-- Slots for those who gave most for what they got, and the last one for anybody.
function unchoke(peers, slots, swarm)
  local function keeps(peer) return peer.slot ~= nil and not swarm.rechoke end
  local wanting, ratio = {}, {}
  for _, peer in ipairs(peers) do
    if peer.interested then
      table.insert(wanting, peer)
      ratio[peer.id] = (peer.received + 16384) / (peer.sent + 16384)
    end
  end
  table.sort(wanting, function(a, b)
    if keeps(a) ~= keeps(b) then return keeps(a) end
    if ratio[a.id] ~= ratio[b.id] then return ratio[a.id] > ratio[b.id] end
    return a.id < b.id
  end)
  if swarm.rechoke and slots > 0 and #wanting > slots then
    local lucky = slots - 1 + swarm.dice(#wanting - slots + 1)
    wanting[slots], wanting[lucky] = wanting[lucky], wanting[slots]
    wanting[slots].slot = "optimistic"
  end
  local served = {}
  for n = 1, math.min(slots, #wanting) do
    served[n] = { id = wanting[n].id, optimistic = wanting[n].slot == "optimistic" and n == slots }
  end
  return served, ratio
end
