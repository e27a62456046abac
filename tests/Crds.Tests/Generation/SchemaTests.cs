using System.Text.Json.Nodes;
using k8s;
using k8s.Models;
using Moebius.Crds.Generation;
using Moebius.Crds.Schema;

namespace Moebius.Crds.Tests.Generation;

public sealed class SchemaTests
{
    private static readonly XmlDocs Docs = XmlDocs.Load();

    public static TheoryData<string> Kinds { get; } = [.. ResourceKinds.All.Select(kind => kind.Kind)];

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Every_field_says_what_it_means(string kind)
    {
        foreach (var (path, field) in Schemas.Fields(Schema(kind)).Where(field => field.Path is not ("metadata" or "metadata.name")))
            Assert.True(field.Description?.Length > 0, $"{kind}.{path} has no description: write a summary, or add its type to KubernetesDocs.xslt");
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Every_text_list_and_map_that_a_user_writes_has_a_largest_size(string kind)
    {
        // Unbounded ones make the API server's cost estimate of rules explode. Those inside Kubernetes types carry no rule.
        string[] kubernetes = ["resources", "tolerations", "topologySpreadConstraints", "allowFrom", "allowMetricsFrom", "podSelector", "namespaceSelector"];
        foreach (var (path, field) in Schemas.Fields(Schema(kind).Properties["spec"], except: kubernetes))
        {
            var bounded = field switch
            {
                { EnumProperty: not null } or { XKubernetesIntOrString: true } => true,
                { Type: "string" } => field.MaxLength is not null,
                { Type: "array" } => field.MaxItems is not null && Text((V1JSONSchemaProps)field.Items),
                { AdditionalProperties: V1JSONSchemaProps item } => field.MaxProperties is not null && Text(item),
                { Type: "object" } => field.Properties is not null || field.XKubernetesPreserveUnknownFields == true,
                { Type: "integer" } => field.Minimum is not null && field.Maximum is not null,
                _ => true,
            };
            Assert.True(bounded, $"{kind}.spec.{path} has no bounds: add [Size], [ItemSize] or [Range]");
        }

        static bool Text(V1JSONSchemaProps item) => item.Type != "string" || item.EnumProperty is not null || item.MaxLength is not null;
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Nothing_inside_a_list_has_a_default(string kind)
    {
        // kubectl and Argo CD compare lists of custom resources whole: what the server fills in there is a difference for ever.
        foreach (var (path, field) in Schemas.Fields(Schema(kind).Properties["spec"]).Where(field => field.Path.Contains("[]", StringComparison.Ordinal)))
            Assert.True(field.DefaultProperty is null, $"{kind}.spec.{path} has a default: make it nullable, and say what its absence means");
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void The_definition_is_one_that_the_client_library_reads_strictly(string kind)
    {
        var resource = ResourceKinds.All.Single(resource => resource.Kind == kind);
        var definition = KubernetesYaml.Deserialize<V1CustomResourceDefinition>(CrdGenerator.Yaml(resource, Docs), strict: true);
        Assert.Equal($"{resource.Plural}.moebius.dev", definition.Metadata.Name);
        Assert.Equal(resource.Namespaced ? "Namespaced" : "Cluster", definition.Spec.Scope);
        Assert.Equal(["spec"], definition.Spec.Versions.Single().Schema.OpenAPIV3Schema.Required);
        Assert.Equal(kind == "MoEDeployment", definition.Spec.Versions.Single().Subresources.Scale is not null);
    }

    [Fact]
    public void A_field_carries_what_its_attributes_and_initialiser_say()
    {
        var fields = new SchemaGenerator(docs: null).Object(typeof(Example)).Properties;
        Assert.Equal((1, 9, 5), (fields["number"].Minimum, fields["number"].Maximum, fields["number"].DefaultProperty is JsonNode number ? (int)number : 0));
        Assert.Equal(["One", "Two"], fields["choice"].EnumProperty);
        Assert.Equal("Two", fields["choice"].DefaultProperty?.ToString());
        Assert.Null(fields["optional"].DefaultProperty);
        Assert.Null(fields["empty"].DefaultProperty);
        Assert.Equal("{}", fields["nested"].DefaultProperty.ToString());
        Assert.Equal("{\"depth\":9}", ((JsonNode)fields["changed"].DefaultProperty).ToJsonString());
        Assert.Equal("{\"a\":1}", ((JsonNode)fields["ruled"].DefaultProperty).ToJsonString());
        Assert.Equal(("map", "a"), (fields["mapped"].XKubernetesListType, fields["mapped"].XKubernetesListMapKeys.Single()));
        Assert.Equal((2, 7), (((V1JSONSchemaProps)fields["texts"].Items).MinLength, ((V1JSONSchemaProps)fields["texts"].Items).MaxLength));
        Assert.Equal(["number2"], new SchemaGenerator(docs: null).Object(typeof(WithRequired)).Required);
    }

    [Fact]
    public void A_type_that_contains_itself_is_refused_by_name() =>
        Assert.Contains(nameof(Recursive), Assert.Throws<NotSupportedException>(() => new SchemaGenerator(docs: null).Object(typeof(Recursive))).Message, StringComparison.Ordinal);

    [Fact]
    public void A_Kubernetes_type_without_known_facts_is_refused_by_name() =>
        Assert.Contains("V1Pod", Assert.Throws<NotSupportedException>(() => new SchemaGenerator(docs: null).Object(typeof(V1PodIP))).Message, StringComparison.Ordinal);

    private static V1JSONSchemaProps Schema(string kind) => Schemas.Of(ResourceKinds.All.Single(resource => resource.Kind == kind), Docs);

    public enum Choice
    {
        One,
        Two,
    }

    public sealed class Example
    {
        [Range(1, 9)]
        public int Number { get; set; } = 5;

        public Choice Choice { get; set; } = Choice.Two;

        public Choice? Optional { get; set; }

        public string Empty { get; set; } = "";

        public Nested Nested { get; set; } = new();

        public Nested Changed { get; set; } = new() { Depth = 9 };

        public Ruled Ruled { get; set; } = new();

        [ListMap("a")]
        public List<Ruled>? Mapped { get; set; }

        [ItemSize(2, 7)]
        public List<string>? Texts { get; set; }
    }

    public sealed class Nested
    {
        public int Depth { get; set; } = 1;
    }

    [CelRule("self.a > 0", "a must be positive")]
    public sealed class Ruled
    {
        public int A { get; set; } = 1;
    }

    public sealed class WithRequired
    {
        public required int Number2 { get; set; }
    }

    public sealed class Recursive
    {
        public List<Recursive>? Children { get; set; }
    }
}
