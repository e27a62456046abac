using k8s.Models;
using Moebius.Crds;
using Moebius.Crds.Sizing;
using Moebius.Crds.V1Alpha1;
using Moebius.Operator.Planning;
using Moebius.Operator.Planning.MoEDeployments;

namespace Moebius.Operator.Tests.Planning;

public sealed class ModelSourceTests
{
    private static readonly ModelFacts Facts = new(DenseBytes: 1L << 30, ExpertBytes: 8L << 30, SmallestExpertBytes: 64L << 20, KVBytesPerToken: 4096);

    private static Plan Plan(MoEDeployment resource, ModelPreparation? preparation = null, ServerCapabilities? server = null) => MoEDeploymentPlanner.Plan(
        resource, MoEReferences.None with { Preparation = preparation ?? ModelPreparation.None }, OperatorSettings.Default, server ?? ServerCapabilities.Latest);

    [Fact]
    public void A_remote_model_is_fetched_before_anything_serves_it()
    {
        var plan = Plan(Samples.Remote());
        Assert.Equal(
            ["ServiceAccount/austen", "PersistentVolumeClaim/austen-model", "NetworkPolicy/austen-model", "Job"],
            plan.Children.Select(child => child is V1Job ? "Job" : $"{child.Kind}/{child.Metadata.Name}"));
        Assert.True(plan.IsPartial);
        var pod = plan.Child<V1Job>().Spec.Template.Spec;
        var revision = ModelFetch.Revision(Samples.Remote().Spec.Model.Source);
        var container = Assert.Single(pod.Containers);
        Assert.Equal(["model", "fetch", $"--to=/models/model/{revision}", "--report=/dev/termination-log", "--s3=s3://models/austen", "--pack"], container.Args);
        Assert.Equal(["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"], container.Env.Where(variable => variable.ValueFrom?.SecretKeyRef.Name == "aws").Select(variable => variable.Name));
        Assert.Contains(plan.Conditions, condition => condition is { Type: ConditionTypes.ModelFetched, Status: ConditionStatus.False, Reason: Reasons.Fetching });

        var fetched = Plan(Samples.Remote(), new ModelPreparation(FetchState.Done, null, Facts));
        Assert.False(fetched.IsPartial);
        var template = fetched.Child<V1Deployment>().Spec.Template;
        Assert.Contains($"--model=/models/model/{revision}", template.Spec.Containers[0].Args);
        var volume = template.Spec.Volumes.Single(volume => volume.Name == "model").PersistentVolumeClaim;
        Assert.Equal(("austen-model", true), (volume.ClaimName, volume.ReadOnlyProperty));
        Assert.DoesNotContain(template.Spec.Containers.Concat(template.Spec.InitContainers).SelectMany(one => one.Env), variable => variable.Name.StartsWith("AWS", StringComparison.Ordinal));
        // Dense weights, all experts, KV memory and the program.
        Assert.Equal("9984Mi", template.Spec.Containers[0].Resources.Requests["memory"].ToString());
    }

    [Fact]
    public void The_pods_that_serve_have_no_way_out_and_the_pod_that_fetches_reaches_its_store_only()
    {
        var plan = Plan(Samples.Remote(source: "huggingFace: {repository: a/b, endpoint: 'http://mirror:8080'}"), new ModelPreparation(FetchState.Done, null, Facts));
        var policies = plan.Children.OfType<V1NetworkPolicy>().ToDictionary(policy => policy.Metadata.Name);
        Assert.Equal(["53", "53"], policies["austen"].Spec.Egress.SelectMany(rule => rule.Ports).Select(port => port.Port.ToString()));
        Assert.Equal(["53", "53", "443", "8080"], policies["austen-model"].Spec.Egress.SelectMany(rule => rule.Ports).Select(port => port.Port.ToString()));
        Assert.Null(policies["austen-model"].Spec.Ingress);
        Assert.NotEqual(policies["austen"].Spec.PodSelector.MatchLabels, policies["austen-model"].Spec.PodSelector.MatchLabels);
    }

    [Theory]
    [InlineData("s3: {uri: 's3://models/austen'}", "s3: {uri: 's3://models/bronte'}", true)]
    [InlineData("s3: {uri: 's3://models/austen'}", "s3: {uri: 's3://models/austen', credentialsSecretRef: {name: other}}", false)]
    [InlineData("huggingFace: {repository: a/b}", "huggingFace: {repository: a/b, revision: v2}", true)]
    public void Another_source_has_another_directory_and_another_Job(string source, string other, bool otherDirectory)
    {
        var (first, second) = (Samples.Remote(source: source), Samples.Remote(source: other));
        Assert.Equal(otherDirectory, ModelFetch.Revision(first.Spec.Model.Source) != ModelFetch.Revision(second.Spec.Model.Source));
        Assert.NotEqual(Plan(first).Child<V1Job>().Metadata.Name, Plan(second).Child<V1Job>().Metadata.Name);
    }

    [Fact]
    public void The_name_of_a_Job_fits_into_a_label()
    {
        var resource = Samples.Remote();
        resource.Metadata.Name = new string('a', 63);
        Assert.InRange(Plan(resource).Child<V1Job>().Metadata.Name.Length, 1, 63);
    }

    [Fact]
    public void A_failed_download_is_told_in_its_own_words_and_what_runs_stays()
    {
        var plan = Plan(Samples.Remote(), new ModelPreparation(FetchState.Failed, "s3://models/austen: answers 403", null));
        Assert.True(plan.IsPartial);
        Assert.False(plan.IsBlocked);
        var problem = Assert.Single(plan.Problems);
        Assert.Equal(Reasons.FetchFailed, problem.Reason);
        Assert.Contains("answers 403", problem.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_download_that_waits_says_for_what()
    {
        var resource = Samples.Remote();
        var job = Plan(resource).Child<V1Job>();
        Assert.Equal($"the model is being downloaded; Job '{job.Metadata.Name}' has no pod yet; if it stays so, its events say why", Ready());

        var pod = new V1Pod
        {
            Metadata = new V1ObjectMeta { Name = "fetch-1", Labels = job.Spec.Template.Metadata.Labels },
            Status = new V1PodStatus { Conditions = [new V1PodCondition { Type = "PodScheduled", Status = "False", Message = "pod has unbound immediate PersistentVolumeClaims" }] },
        };
        Assert.Equal("the model is being downloaded; pod 'fetch-1' waits for a node: pod has unbound immediate PersistentVolumeClaims", Ready(pod));

        pod.Status = new V1PodStatus { Phase = "Running" };
        Assert.Equal("the model is being downloaded", Ready(pod));

        string Ready(params V1Pod[] pods)
        {
            var preparation = ModelPreparation.Of(resource, job, pods);
            var plan = Plan(resource, preparation);
            var ready = StatusPlanner.MoEDeployment(resource, plan, preparation, Observation.Of(plan, [], null, []), DateTimeOffset.UnixEpoch).Conditions!.Single(condition => condition.Type == ConditionTypes.Ready);
            Assert.Equal(("False", Reasons.Fetching), (ready.Status, ready.Reason));
            return ready.Message;
        }
    }

    [Fact]
    public void A_model_that_does_not_fit_is_refused_before_a_pod_starts_with_what_would_fit()
    {
        var resource = Samples.Remote("resources: {limits: {memory: 4Gi}}");
        var plan = Plan(resource, new ModelPreparation(FetchState.Done, null, Facts));
        Assert.Empty(plan.Children);
        Assert.Equal(
            "spec: the memory limit of 4 GiB is 6.8 GiB less than the 10.8 GiB that is needed (1 GiB dense weights, 8 GiB experts, 512 MiB serving.kvMemory, 1 GiB kvCache.memory, 256 MiB program): raise the limit, or set experts.fastMemory to 1342177280 (1.3 GiB) or less",
            Assert.Single(plan.Problems).Message);
        resource.Spec.Experts.FastMemory = new ByteQuantity("1342177280");
        Assert.NotEmpty(Plan(resource, new ModelPreparation(FetchState.Done, null, Facts)).Child<V1Deployment>().Spec.Template.Spec.Containers);
    }

    [Fact]
    public void A_pod_that_loads_ahead_has_memory_for_its_predictor()
    {
        var facts = Facts with { Predictor = new PredictorFacts(100L << 20, 20L << 20, 58, 2048) };
        string Requested(string spec) => Plan(Samples.Remote(spec), new ModelPreparation(FetchState.Done, null, facts)).Child<V1Deployment>().Spec.Template.Spec.Containers[0].Resources.Requests["memory"].ToString();
        // Dense weights, some experts, KV memory and the program.
        const int Without = 1024 + 4096 + 512 + 256;
        Assert.Equal($"{Without}Mi", Requested("experts: {fastMemory: 4Gi}"));
        Assert.Equal($"{Without + 100 + (8 * 20)}Mi", Requested("experts: {fastMemory: 4Gi, prefetch: {mode: Adaptive}}"));
        Assert.Equal($"{Without + 100 + (2 * 20)}Mi", Requested("experts: {fastMemory: 4Gi, prefetch: {mode: Fixed, horizon: 2}}"));
        Assert.Equal($"{Without + 4096}Mi", Requested("experts: {prefetch: {mode: Adaptive}}"));

        // What was read is remembered when the pods that said so are gone.
        var resource = Samples.Remote("experts: {fastMemory: 4Gi, prefetch: {mode: Adaptive}}");
        var preparation = new ModelPreparation(FetchState.Done, null, facts);
        var plan = Plan(resource, preparation);
        resource.Status = StatusPlanner.MoEDeployment(resource, plan, preparation, Observation.Of(plan, [], null, []), DateTimeOffset.UnixEpoch);
        Assert.Equal(facts, ModelPreparation.Of(resource, null, []).Facts);
    }

    [Fact]
    public void Sizes_come_from_pods_of_the_same_source_and_are_remembered()
    {
        var resource = Samples.MoE();
        var revision = ModelFetch.Revision(resource.Spec.Model.Source);
        V1Pod Pod(string source, string message) => new()
        {
            Metadata = new V1ObjectMeta { Name = "p", Annotations = new Dictionary<string, string> { [Labels.ModelSource] = source } },
            Status = new V1PodStatus { InitContainerStatuses = [new V1ContainerStatus { Name = "size", State = new V1ContainerState { Terminated = new V1ContainerStateTerminated { Message = message } } }] },
        };
        Assert.Equal(Facts, ModelPreparation.Of(resource, null, [Pod(revision, Facts.ToLine())]).Facts);
        Assert.Equal(Facts, ModelPreparation.Of(resource, null, [Pod(revision, Facts.ToLine() + "\nmoebius: too little")]).Facts);
        Assert.Null(ModelPreparation.Of(resource, null, [Pod("another", Facts.ToLine())]).Facts);
        Assert.Null(ModelPreparation.Of(resource, null, [Pod(revision, "killed")]).Facts);
        resource.Status = StatusPlanner.MoEDeployment(resource, Plan(resource), new ModelPreparation(FetchState.NotStarted, null, Facts), new Observation([], false, null, []), DateTimeOffset.UnixEpoch);
        Assert.Equal(Facts, ModelPreparation.Of(resource, null, []).Facts);
    }

    [Fact]
    public void An_image_is_mounted_where_the_server_can_and_copied_where_it_cannot()
    {
        var resource = Samples.MoE();
        resource.Spec.Model.Source = new ModelSource { Image = new ImageModel { Reference = "models/austen:1", Path = "weights" } };
        var mounted = Plan(resource).Child<V1Deployment>().Spec.Template.Spec;
        Assert.Equal("models/austen:1", mounted.Volumes.Single(volume => volume.Name == "model").Image.Reference);
        Assert.DoesNotContain(mounted.InitContainers, container => container.Image == "models/austen:1");
        var copied = Plan(resource, server: Samples.Old).Child<V1Deployment>().Spec.Template.Spec;
        Assert.NotNull(copied.Volumes.Single(volume => volume.Name == "model").EmptyDir);
        Assert.Equal(["copy-model", "size"], copied.InitContainers.Select(container => container.Name));
        Assert.Equal(["sh", "/weights", "/models/model/weights"], copied.InitContainers[0].Command.Skip(3));
        Assert.Contains("--model=/models/model/weights", copied.Containers.Single(container => container.Name == "inference").Args);
    }
}
