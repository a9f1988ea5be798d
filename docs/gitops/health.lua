-- What Argo CD shows of a ModelDeployment. Argo CD runs this in Lua 5.1 with the base and table
-- libraries alone.

local status = obj.status or {}
local conditions = {}
for _, condition in ipairs(status.conditions or {}) do
  conditions[condition.type] = condition
end

local function is(kind, wanted)
  return conditions[kind] ~= nil and conditions[kind].status == wanted
end

local function health(verdict, message)
  return { status = verdict, message = message or status.message or status.phase }
end

-- What status says is about an earlier spec, or nothing has been said yet.
if status.observedGeneration ~= obj.metadata.generation then
  return health("Progressing", "waits for Canarium to see this change")
end

-- Rolled back, failed, refused, or overridden by a person: it won't go on by itself.
if is("Stalled", "True") then
  return health("Degraded")
end

-- Paused, or at a step that waits for approval: it goes on when a person says so. In the guard
-- the version that the spec asks for serves already.
if status.phase == "Paused" and not is("UpToDate", "True") then
  return health("Suspended")
end

if is("Reconciling", "True") then
  return health("Progressing")
end

-- A person gave it no pods (replicas: 0), and it answers nobody until there are some again.
if is("Ready", "False") and conditions.Ready.reason == "ScaledToZero" then
  return health("Suspended")
end

-- Nothing is being rolled out, but some of the pods are missing: they usually come back.
if not is("Ready", "True") then
  return health("Progressing", conditions.Ready and conditions.Ready.message)
end

return health("Healthy")
