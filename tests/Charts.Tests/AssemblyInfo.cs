// What a chart renders to, only the helm program can say.
[assembly: Trait("Category", "Component")]
