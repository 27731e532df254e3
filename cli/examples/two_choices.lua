-- Of two random pieces the rarer one.
function pick(pieces, copies, want, swarm)
  local picked = {}
  for n = 1, want do
    local a, b = swarm.dice(#pieces), swarm.dice(#pieces)
    if a == 0 then break end
    local rarer = copies[a] <= copies[b] and a or b
    picked[n] = pieces[rarer]
    table.remove(pieces, rarer)
    table.remove(copies, rarer)
  end
  return picked
end
