namespace Moebius.Operator.Planning;

/// <summary>Types of conditions.</summary>
public static class ConditionTypes
{
    /// <summary>The resource does what its current generation says.</summary>
    public const string Ready = "Ready";

    /// <summary>Something is being changed and is not complete.</summary>
    public const string Progressing = "Progressing";

    /// <summary>Something that was asked for is not done.</summary>
    public const string Degraded = "Degraded";

    /// <summary>The operator changes nothing for the resource, as its annotation asks. Absent otherwise.</summary>
    public const string Paused = "Paused";

    /// <summary>A model that comes from elsewhere is in its store. Absent for models that are mounted.</summary>
    public const string ModelFetched = "ModelFetched";

    /// <summary>The model fits into the memory that the spec gives.</summary>
    public const string MemoryFits = "MemoryFits";

    /// <summary>A pod has loaded the model.</summary>
    public const string ModelLoaded = "ModelLoaded";

    /// <summary>The KVPrivacyPolicy that is referred to exists and is valid.</summary>
    public const string PolicyResolved = "PolicyResolved";

    /// <summary>The MemorySchedulingProfile that is referred to exists.</summary>
    public const string ProfileResolved = "ProfileResolved";

    /// <summary>The prefix cache answers.</summary>
    public const string KVCacheReady = "KVCacheReady";

    /// <summary>Older profiles may take some of the nodes that this one selects; absent otherwise.</summary>
    public const string Overlaps = "Overlaps";

    /// <summary>No node agent of a profile has failed at something that its node has. Absent while none answers.</summary>
    public const string NodesAsExpected = "NodesAsExpected";

    /// <summary>The language model that is referred to exists.</summary>
    public const string ModelResolved = "ModelResolved";

    /// <summary>The service has taken the job.</summary>
    public const string Accepted = "Accepted";

    /// <summary>The job has a result.</summary>
    public const string Complete = "Complete";

    /// <summary>The job has ended without a result.</summary>
    public const string Failed = "Failed";
}
