namespace Moebius.Operator.Planning;

/// <summary>Labels and annotations of planned objects.</summary>
public static class Labels
{
    /// <summary>The program.</summary>
    public const string Name = "app.kubernetes.io/name";

    /// <summary>The resource that the object belongs to.</summary>
    public const string Instance = "app.kubernetes.io/instance";

    /// <summary>The program's part in Moebius.</summary>
    public const string Component = "app.kubernetes.io/component";

    /// <summary>Always <c>moebius</c>.</summary>
    public const string PartOf = "app.kubernetes.io/part-of";

    /// <summary>Always <see cref="Manager"/>.</summary>
    public const string ManagedBy = "app.kubernetes.io/managed-by";

    /// <summary>Value of <see cref="ManagedBy"/>, and the field manager of every write.</summary>
    public const string Manager = "moebius-operator";

    /// <summary>Annotation of a pod template: hash of the configuration its containers read.</summary>
    public const string ConfigHash = "moebius.dev/config-hash";

    /// <summary>Annotation of a child: hash of the object as it was planned.</summary>
    public const string PlanHash = "moebius.dev/plan-hash";

    /// <summary>Annotation of a pod: hash of the model source that its containers read, and of how experts are stored.</summary>
    public const string ModelSource = "moebius.dev/model-source";

    /// <summary>The annotation <see cref="ModelSource"/>; null where there is none.</summary>
    internal static string? ModelSourceOf(k8s.Models.V1ObjectMeta? metadata) => metadata?.Annotations is { } annotations && annotations.TryGetValue(ModelSource, out var source) ? source : null;

    /// <summary>Annotation of a resource: <c>"true"</c> keeps the operator from changing anything for it.</summary>
    public const string Paused = "moebius.dev/paused";

    /// <summary>What a paused resource says of itself.</summary>
    internal const string PausedMessage = $"nothing is changed while the annotation {Paused} is \"true\"";

    /// <summary>Whether a resource asks to be left alone.</summary>
    public static bool IsPaused(k8s.IKubernetesObject<k8s.Models.V1ObjectMeta> resource) =>
        resource.Metadata.Annotations is { } annotations && annotations.TryGetValue(Paused, out var value) && value == "true";

    /// <summary>What is wrong with the annotation <see cref="Paused"/>; null when nothing is.</summary>
    internal static Problem? PausedProblem(k8s.IKubernetesObject<k8s.Models.V1ObjectMeta> resource) =>
        resource.Metadata.Annotations is { } annotations && annotations.TryGetValue(Paused, out var value) && value is not ("true" or "false")
            ? new Problem(Reasons.InvalidSpec, $"metadata.annotations[{Paused}]: '{value}' is neither \"true\" nor \"false\": nothing is paused", Blocks: false)
            : null;

    /// <summary>Labels that select the pods of a resource. They never change.</summary>
    internal static Dictionary<string, string> Selector(string component, string instance) => new()
    {
        [Component] = component,
        [Instance] = instance,
        [PartOf] = "moebius",
    };

    /// <summary>Labels of every object of a resource.</summary>
    internal static Dictionary<string, string> Of(string component, string instance) => new(Selector(component, instance))
    {
        [Name] = $"moebius-{component}",
        [ManagedBy] = Manager,
    };
}

/// <summary>Values of the label <see cref="Labels.Component"/>.</summary>
public static class Components
{
    /// <summary>The inference pods of a MoEDeployment.</summary>
    public const string Inference = "inference";

    /// <summary>The download of a MoEDeployment's model.</summary>
    public const string ModelFetch = "model-fetch";

    /// <summary>The rendered KVPrivacyPolicy.</summary>
    public const string PrivacyPolicy = "privacy-policy";

    /// <summary>The node agents of a MemorySchedulingProfile.</summary>
    public const string NodeAgent = "node-agent";

    /// <summary>The service of a PromptOptimizer.</summary>
    public const string PromptOptimizer = "prompt-optimizer";
}
