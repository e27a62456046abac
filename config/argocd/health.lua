-- Health of Moebius resources of every kind, for Argo CD. docs/gitops.md says where it goes.
local health = {status = "Progressing", message = "the operator has not looked at this generation yet"}
local status = obj.status
if status == nil or status.conditions == nil then
  return health
end
if status.observedGeneration ~= obj.metadata.generation then
  return health
end

local conditions = {}
for _, condition in ipairs(status.conditions) do
  conditions[condition.type] = condition
end
local function is(type, value)
  return conditions[type] ~= nil and conditions[type].status == value
end
local function verdict(state, type)
  health.status = state
  health.message = conditions[type].reason .. ": " .. (conditions[type].message or "")
  return health
end

-- A job ends once; everything else is ready or is not.
if is("Failed", "True") then return verdict("Degraded", "Failed") end
if is("Complete", "True") then return verdict("Healthy", "Complete") end
if is("Paused", "True") then return verdict("Suspended", "Paused") end
if is("Ready", "True") then return verdict("Healthy", "Ready") end
-- What waiting does not cure: a container that fails may be started again, and what the server lacks may come.
if is("Degraded", "True") and conditions.Degraded.reason ~= "ContainerFailed" and conditions.Degraded.reason ~= "ServerCapabilityMissing" then
  return verdict("Degraded", "Degraded")
end
if is("Progressing", "True") then return verdict("Progressing", "Progressing") end
if is("Ready", "False") then return verdict("Degraded", "Ready") end
-- A job that nobody has taken yet says why.
if is("Accepted", "False") then return verdict("Progressing", "Accepted") end
health.message = "no condition says anything yet"
return health
