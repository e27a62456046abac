namespace Moebius.Operator.Planning;

/// <summary>Reasons of conditions and events. Constant: alerts and people match on them.</summary>
public static class Reasons
{
    /// <summary>Nothing is wrong.</summary>
    public const string AsExpected = "AsExpected";

    /// <summary>A field breaks a rule.</summary>
    public const string InvalidSpec = "InvalidSpec";

    /// <summary>A field that this version does not honour is set.</summary>
    public const string UnsupportedField = "UnsupportedField";

    /// <summary>The annotation moebius.dev/paused asks for no changes.</summary>
    public const string Paused = "Paused";

    /// <summary>The model is being downloaded.</summary>
    public const string Fetching = "Fetching";

    /// <summary>The model is in its store.</summary>
    public const string Fetched = "Fetched";

    /// <summary>The download has failed for good.</summary>
    public const string FetchFailed = "FetchFailed";

    /// <summary>The memory that the spec gives cannot hold the model.</summary>
    public const string InsufficientMemory = "InsufficientMemory";

    /// <summary>The model fits into the memory that the spec gives.</summary>
    public const string Sufficient = "Sufficient";

    /// <summary>Nobody has read the model's files yet.</summary>
    public const string NotMeasured = "NotMeasured";

    /// <summary>The API server is too old for something that was asked for.</summary>
    public const string ServerCapabilityMissing = "ServerCapabilityMissing";

    /// <summary>An object of a child's name exists and belongs to somebody else.</summary>
    public const string ChildNotOwned = "ChildNotOwned";

    /// <summary>An object of a child's name is being removed, and that takes long.</summary>
    public const string ChildBeingRemoved = "ChildBeingRemoved";

    /// <summary>Somebody else applies a field that Moebius applies too.</summary>
    public const string ApplyConflict = "ApplyConflict";

    /// <summary>The API server refused a child.</summary>
    public const string ChildRejected = "ChildRejected";

    /// <summary>A volume claim that exists cannot become what the spec asks for.</summary>
    public const string StoreImmutable = "StoreImmutable";

    /// <summary>Pods are not made: the API server refuses them.</summary>
    public const string PodsRefused = "PodsRefused";

    /// <summary>A pod waits for a node that has room for it, or for its volume.</summary>
    public const string PodsUnscheduled = "PodsUnscheduled";

    /// <summary>No node has the labels that the profile selects.</summary>
    public const string NoNodes = "NoNodes";

    /// <summary>A node cannot honour a setting of the profile, or an annotation of a pod.</summary>
    public const string SettingNotHonoured = "SettingNotHonoured";

    /// <summary>No reference is set.</summary>
    public const string NotReferenced = "NotReferenced";

    /// <summary>The object that is referred to exists and is valid.</summary>
    public const string Resolved = "Resolved";

    /// <summary>The KVPrivacyPolicy does not exist.</summary>
    public const string PolicyNotFound = "PolicyNotFound";

    /// <summary>The KVPrivacyPolicy breaks a rule.</summary>
    public const string PolicyInvalid = "PolicyInvalid";

    /// <summary>Sidecars refuse the newest KVPrivacyPolicy and go on with an older one.</summary>
    public const string PolicyRefused = "PolicyRefused";

    /// <summary>The MemorySchedulingProfile does not exist.</summary>
    public const string ProfileNotFound = "ProfileNotFound";

    /// <summary>The MemorySchedulingProfile breaks a rule, or older ones have all of its nodes.</summary>
    public const string ProfileInvalid = "ProfileInvalid";

    /// <summary>The MoEDeployment does not exist.</summary>
    public const string MoEDeploymentNotFound = "MoEDeploymentNotFound";

    /// <summary>The MoEDeployment breaks a rule.</summary>
    public const string MoEDeploymentInvalid = "MoEDeploymentInvalid";

    /// <summary>A ConfigMap or a key in it does not exist.</summary>
    public const string ConfigMapNotFound = "ConfigMapNotFound";

    /// <summary>Older profiles take all the nodes that this one selects.</summary>
    public const string ProfilesOverlap = "ProfilesOverlap";

    /// <summary>The planned objects cannot be made.</summary>
    public const string Blocked = "Blocked";

    /// <summary>Pods are being made or replaced.</summary>
    public const string RollingOut = "RollingOut";

    /// <summary>All pods run the current generation.</summary>
    public const string RolledOut = "RolledOut";

    /// <summary>The rollout has not moved for its deadline.</summary>
    public const string RolloutStuck = "RolloutStuck";

    /// <summary>All pods answer.</summary>
    public const string AllReplicasReady = "AllReplicasReady";

    /// <summary>Pods are missing or do not answer.</summary>
    public const string ReplicasNotReady = "ReplicasNotReady";

    /// <summary>No pods are asked for.</summary>
    public const string ScaledToZero = "ScaledToZero";

    /// <summary>The model is loaded.</summary>
    public const string Loaded = "Loaded";

    /// <summary>No pod has loaded the model yet.</summary>
    public const string Loading = "Loading";

    /// <summary>The inference container refused the model or a setting.</summary>
    public const string ModelRefused = "ModelRefused";

    /// <summary>A container ended with an error.</summary>
    public const string ContainerFailed = "ContainerFailed";

    /// <summary>A container refused its configuration.</summary>
    public const string ConfigurationRefused = "ConfigurationRefused";

    /// <summary>It is switched off.</summary>
    public const string Disabled = "Disabled";

    /// <summary>It does not answer yet.</summary>
    public const string NotReady = "NotReady";

    /// <summary>The configuration that containers read is up to date.</summary>
    public const string Rendered = "Rendered";

    /// <summary>The PromptOptimizer does not exist.</summary>
    public const string OptimizerNotFound = "OptimizerNotFound";

    /// <summary>The service does not answer.</summary>
    public const string ServiceUnreachable = "ServiceUnreachable";

    /// <summary>Node agents of a deleted profile have not ended, and their nodes may not be as they were.</summary>
    public const string NodesNotRestored = "NodesNotRestored";

    /// <summary>A deleted job's prompts may still be in the service's store.</summary>
    public const string PromptsNotRemoved = "PromptsNotRemoved";

    /// <summary>The service has taken the job.</summary>
    public const string JobAccepted = "JobAccepted";

    /// <summary>The service refuses the job.</summary>
    public const string JobRefused = "JobRefused";

    /// <summary>The job is being worked on.</summary>
    public const string JobRunning = "JobRunning";

    /// <summary>Every prompt has a result.</summary>
    public const string JobSucceeded = "JobSucceeded";

    /// <summary>A prompt has no result.</summary>
    public const string JobFailed = "JobFailed";
}
