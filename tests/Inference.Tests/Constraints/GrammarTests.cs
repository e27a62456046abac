using System.Runtime.CompilerServices;
using System.Text;
using System.Text.Json;
using Moebius.Inference.Constraints;
using Moebius.Inference.Tests.Engine;

namespace Moebius.Inference.Tests.Constraints;

public class GrammarTests
{
    private const string Person = """
        {"type":"object","properties":{"name":{"type":"string","minLength":1,"maxLength":5},"age":{"type":"integer","minimum":0,"maximum":120},
        "tags":{"type":"array","items":{"enum":["a","b",null,3]},"minItems":1,"maxItems":2},"home":{"$ref":"#/$defs/place"}},
        "required":["name","age"],"additionalProperties":false,"$defs":{"place":{"type":"object","properties":{"in":{"anyOf":[{"$ref":"#/$defs/place"},{"type":"null"}]}},"required":["in"]}}}
        """;

    [Theory]
    [InlineData(24, ' ', true)]
    [InlineData(25, ' ', false)]
    [InlineData(6, '\t', true)]
    public void An_indent_has_an_end(int length, char blank, bool valid) => Assert.Equal(valid, Matches(Compile("true"), $"[\n{new string(blank, length)}1\n]"));

    [Theory]
    [InlineData(Person, """{"name":"Ann","age":7}""", true)]
    [InlineData(Person, "{\n  \"name\": \"Ann\",\n  \"age\": 120,\n  \"tags\": [\n    \"a\",\n    3\n  ]\n}", true)]
    [InlineData(Person, """{ "name": "Ann", "age": 120, "tags": [ "a", 3 ] }""", true)]
    [InlineData(Person, """{"name":  "Ann","age":120}""", false)]
    [InlineData(Person, """{"name":"Ann","age":7,"home":{"in":{"in":null}}}""", true)]
    [InlineData(Person, """{"name":"\ud83d\ude00é😀\u00e9x","age":0}""", true)]
    [InlineData(Person, """{"name":"Annabel","age":7}""", false)]
    [InlineData(Person, """{"name":"","age":7}""", false)]
    [InlineData(Person, """{"name":"Ann","age":121}""", false)]
    [InlineData(Person, """{"name":"Ann","age":-1}""", false)]
    [InlineData(Person, """{"name":"Ann","age":07}""", false)]
    [InlineData(Person, """{"name":"Ann"}""", false)]
    [InlineData(Person, """{"age":7,"name":"Ann"}""", false)]
    [InlineData(Person, """{"name":"Ann","age":7,}""", false)]
    [InlineData(Person, """{"name":"Ann","age":7,"tags":[]}""", false)]
    [InlineData(Person, """{"name":"Ann","age":7,"tags":["c"]}""", false)]
    [InlineData(Person, """{"name":"Ann","age":7,"other":1}""", false)]
    [InlineData(Person, """{"name":"\ud83d","age":7}""", false)]
    [InlineData("""{"type":["string","null"]}""", "null", true)]
    [InlineData("""{"type":["string","null"]}""", "0", false)]
    [InlineData("""{"const":{"a":[1,"é\n"]}}""", """{"a":[1,"é\n"]}""", true)]
    [InlineData("""{"type":"object","additionalProperties":{"type":"boolean"}}""", """{"x":true,"":false}""", true)]
    [InlineData("""{"type":"object","additionalProperties":{"type":"boolean"}}""", """{"x":1}""", false)]
    [InlineData("""{"type":"object","additionalProperties":false}""", "{}", true)]
    [InlineData("""{"type":"object","required":["x"]}""", """{"x":[]}""", true)]
    [InlineData("""{"type":"object","properties":{"a":{},"b":{}}}""", """{"b":-1.5e-3}""", true)]
    [InlineData("""{"type":"object","properties":{"a":{},"b":{}}}""", """{,"b":1}""", false)]
    [InlineData("true", """[{"k":[true,false,null,"",0.5]}]""", true)]
    [InlineData("""{"type":"array","maxItems":0}""", "[ ]", true)]
    [InlineData("""{"type":"array","maxItems":0}""", "[1]", false)]
    [InlineData("""{"type":"integer","enum":[1,2.5,"1"]}""", "1", true)]
    [InlineData("""{"const":1,"enum":[2,1.0]}""", "1", true)]
    [InlineData("""{"const":1,"enum":[2,1.0]}""", "2", false)]
    [InlineData("""{"type":"integer","enum":[1,2.5,"1"]}""", "2.5", false)]
    [InlineData("""{"type":"integer","exclusiveMinimum":-3,"exclusiveMaximum":1}""", "-2", true)]
    [InlineData("""{"type":"integer","exclusiveMinimum":-3,"exclusiveMaximum":1}""", "-3", false)]
    [InlineData("""{"type":"integer","exclusiveMinimum":-3,"exclusiveMaximum":1}""", "1", false)]
    public void A_schema_takes_what_is_valid_and_nothing_else(string schema, string text, bool valid) => Assert.Equal(valid, Matches(Compile(schema), text));

    [Theory]
    [InlineData("""{"type":"string","pattern":"a+"}""", "/pattern: the keyword 'pattern' is not supported")]
    [InlineData("""{"oneOf":[{}]}""", "/oneOf: the keyword 'oneOf' is not supported")]
    [InlineData("""{"type":"number","minimum":0}""", "/minimum: the keyword 'minimum' is not supported for type number")]
    [InlineData("""{"properties":{"a":{"type":"text"}}}""", "/properties/a/type: it must be one or more of object, array, string, integer, number, boolean, null")]
    [InlineData("""{"type":"object","required":["b"],"properties":{"a":{}},"additionalProperties":false}""", "/required: 'b' is required, and 'properties' and 'additionalProperties' do not allow it")]
    [InlineData("""{"$ref":"#/$defs/a"}""", "/$ref: '#/$defs/a' is not in the schema")]
    [InlineData("""{"$ref":"http://example.com/x"}""", "/$ref: 'http://example.com/x' is not supported: use '#', '#/$defs/NAME' or '#/definitions/NAME'")]
    [InlineData("""{"$ref":"#"}""", "/$ref: '#' refers to itself with nothing in between")]
    [InlineData("""{"$defs":{"a":{"anyOf":[{"type":"null"},{"$ref":"#/$defs/b"}]},"b":{"$ref":"#/$defs/a"}},"$ref":"#/$defs/a"}""", "/$defs/b/$ref: '#/$defs/a' refers to itself with nothing in between")]
    [InlineData("""{"type":"object","properties":{"next":{"$ref":"#"}},"required":["next"]}""", "the schema: a part of it requires itself, so that no finite value is valid")]
    [InlineData("""{"type":"string","minLength":3,"maxLength":2}""", "/maxLength: 2 is less than minLength (3)")]
    [InlineData("""{"type":"integer","minimum":3,"maximum":2}""", "the schema: no integer of at most 15 digits is from 3 to 2")]
    [InlineData("""{"type":"integer","minimum":1.5}""", "/minimum: it must be an integer")]
    [InlineData("""{"items":{},"minLength":1}""", "the schema: give 'type': the keywords speak of array and string")]
    [InlineData("""{"const":1,"enum":[2,"1"]}""", "/const: it is none of the values of 'enum' beside it")]
    [InlineData("""{"type":"integer","enum":["1"]}""", "/enum: no value is of type integer")]
    [InlineData("""{"anyOf":[],"type":"string"}""", "/type: 'type' beside 'anyOf' is not supported")]
    [InlineData("false", "the schema: 'false' allows no value at all")]
    [InlineData("[]", "the schema: a schema must be an object or a boolean")]
    public void What_cannot_be_kept_is_refused_with_its_place(string schema, string message) =>
        Assert.Equal(message, Assert.Throws<SchemaException>(() => Compile(schema)).Message);

    [Fact]
    public void A_huge_or_deep_schema_is_refused()
    {
        var wide = $"{{\"anyOf\":[{string.Join(',', Enumerable.Repeat("{}", 20_000))}]}}";
        Assert.Contains("more than 10000 parts", Assert.Throws<SchemaException>(() => Compile(wide)).Message, StringComparison.Ordinal);
        var links = string.Join(',', Enumerable.Range(0, 1000).Select(i => $$"""
            "d{{i}}":{"type":"array","items":{"$ref":"#/$defs/d{{i + 1}}"} }
            """));
        Assert.Contains("nested deeper than 64", Assert.Throws<SchemaException>(() => Compile("{\"$ref\":\"#/$defs/d0\",\"$defs\":{" + links + ",\"d1000\":{}}}")).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void The_largest_schema_takes_little_memory()
    {
        // A few hundred KiB of a request, of which many may wait at once.
        var members = string.Join(',', Enumerable.Range(0, 490).Select(i => $$"""
            "a{{i}}":{"type":"integer"}
            """));
        var schema = $"{{\"type\":\"array\",\"items\":{{\"anyOf\":[{string.Join(',', Enumerable.Repeat($"{{\"type\":\"object\",\"properties\":{{{members}}}}}", 20))}]}}}}";
        var before = GC.GetAllocatedBytesForCurrentThread();
        Compile(schema);
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 64 << 20);
    }

    [Theory]
    [InlineData(500, 500, true)]
    [InlineData(501, 501, false)]
    [InlineData(300, 500, true)]
    [InlineData(300, 501, false)]
    public void A_property_that_is_required_counts_once(int listed, int required, bool accepted)
    {
        var members = string.Join(',', Enumerable.Range(0, listed).Select(i => $"\"a{i}\":{{}}"));
        var names = string.Join(',', Enumerable.Range(0, required).Select(i => $"\"a{i}\""));
        var error = Record.Exception(() => Compile($"{{\"type\":\"object\",\"properties\":{{{members}}},\"required\":[{names}]}}"));
        Assert.Equal(accepted ? null : "the schema: it has more than 500 properties", error?.Message);
    }

    [Fact]
    public void Integers_with_bounds_are_many_parts_of_a_schema()
    {
        var members = string.Join(',', Enumerable.Range(0, 400).Select(i => $$"""
            "a{{i}}":{"type":"integer","minimum":{{-123456789012345 + i}},"maximum":{{987654321098765 - i}}}
            """));
        Assert.Contains("more than 10000 parts", Assert.Throws<SchemaException>(() => Compile($"{{\"properties\":{{{members}}}}}")).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_grammar_with_too_many_readings_ends_in_an_error_instead_of_work_without_end()
    {
        // Every alternative is an array of arrays of the whole again: readings multiply with depth.
        var again = Enumerable.Repeat("""{"type":"array","items":{"$ref":"#"}}""", 6);
        var schema = $"{{\"type\":\"array\",\"items\":{{\"anyOf\":[{string.Join(',', again)}]}}}}";
        var error = Assert.Throws<AmbiguousGrammarException>(() => Matches(Compile(schema), "[[[[[[[[[[[["));
        Assert.Contains("too ambiguous", error.Message, StringComparison.Ordinal);
    }

    [Property]
    public bool An_integer_fits_its_range_exactly_when_it_is_inside(int first, int second, int probe, byte shift)
    {
        long least = Math.Min(first, second), most = Math.Max(first, second);
        var grammar = IntegerRange.Between(least, most);
        long[] probes = [probe, least, most, least - 1, most + 1, least + (shift % 11), most * 10, 0, -least];
        return probes.All(value => Matches(grammar, FormattableString.Invariant($"{value}")) == (value >= least && value <= most));
    }

    [Property(MaxTest = 2000)]
    public bool Any_JSON_that_the_grammar_takes_can_be_read(AnyInt seed)
    {
        var text = Mutate("""{"a":[1,-0.5,1e+5,true,null,{"é\u00e9\n":"😀\ud83d\ude00"}],"b":""}""", new Random(seed.Item));
        return Matches(JsonGrammar.Value, text) == IsJson(text) || (IsJson(text) && text.IndexOfAny([' ', '\n']) >= 0);
    }

    [Fact]
    public void The_vocabulary_tree_finds_what_trying_every_token_finds()
    {
        var trie = new TokenTrie(EngineHarness.Tokenizer, ToyModel.Vocabulary);
        var machine = new GrammarMachine(Compile(Person));
        var state = machine.Start;
        foreach (var value in """{"name":"A\u00e9n","age":12,"tags":["a",3]}"""u8)
        {
            var mask = new ulong[(ToyModel.Vocabulary + 63) / 64];
            trie.Fitting(machine, state, mask);
            for (var token = 0; token < ToyModel.Vocabulary; token++)
                Assert.Equal(EngineHarness.Tokenizer.TextBytes(token).Length > 0 && Walk(machine, state, EngineHarness.Tokenizer.TextBytes(token)) is not null, (mask[token >> 6] & (1UL << (token & 63))) != 0);
            state = machine.Next(state, value)!;
        }

        Assert.True(state.Complete);
    }

    [Fact]
    public void Forgetting_what_was_learned_changes_nothing()
    {
        var machine = new GrammarMachine(Compile("""{"type":"array","items":{"type":"string","maxLength":90000}}"""));
        var state = machine.Start;
        foreach (var value in Encoding.UTF8.GetBytes("[\"" + new string('x', 89_990) + "\",\"" + new string('y', 89_999) + "\"]"))
        {
            state = machine.Next(state, value)!;
            state = machine.Trim(state);
        }

        Assert.True(state.Complete);
    }

    [Fact]
    public void What_lies_far_behind_is_given_up()
    {
        var machine = new GrammarMachine(Compile("""{"type":"string","maxLength":90000}"""));
        var (state, behind) = FarOn(machine);
        GC.Collect();
        Assert.False(behind.IsAlive);
        Assert.NotNull(machine.Next(state, (byte)'"'));

        // What a method holds lives until it ends.
        [MethodImpl(MethodImplOptions.NoInlining)]
        static (GrammarState State, WeakReference Behind) FarOn(GrammarMachine machine)
        {
            var early = Follow(machine, machine.Start, "\"" + new string('x', 100));
            return (Follow(machine, early, new string('x', 20_000)), new WeakReference(early));
        }

        static GrammarState Follow(GrammarMachine machine, GrammarState state, string text)
        {
            foreach (var character in text)
                state = machine.Trim(machine.Next(state, (byte)character)!);
            return state;
        }
    }

    private static GrammarNode Compile(string schema)
    {
        using var document = JsonDocument.Parse(schema);
        return JsonSchemaCompiler.Compile(document.RootElement);
    }

    private static bool Matches(GrammarNode grammar, string text)
    {
        var machine = new GrammarMachine(grammar);
        return Walk(machine, machine.Start, Encoding.UTF8.GetBytes(text)) is { Accepting: true };
    }

    private static GrammarState? Walk(GrammarMachine machine, GrammarState from, ReadOnlySpan<byte> bytes)
    {
        var state = from;
        foreach (var value in bytes)
        {
            if (state is not null)
                state = machine.Next(state, value);
        }

        return state;
    }

    private static string Mutate(string json, Random random)
    {
        var text = json.EnumerateRunes().ToList();
        for (var times = random.Next(3); times > 0; times--)
        {
            var at = random.Next(text.Count);
            if (random.Next(2) == 0)
                text.RemoveAt(at);
            else
                text[at] = new Rune("{}[]:,\"\\0e-.tu \n"[random.Next(16)]);
        }

        return string.Concat(text);
    }

    // Blanks around it are no part of an output, and half a surrogate pair is no text.
    private static bool IsJson(string text)
    {
        try
        {
            using var document = JsonDocument.Parse(text);
            return text == text.Trim() && HasOnlyText(document.RootElement);
        }
        catch (Exception error) when (error is JsonException or InvalidOperationException)
        {
            return false;
        }
    }

    private static bool HasOnlyText(JsonElement element) => element.ValueKind switch
    {
        JsonValueKind.String => element.GetString() is not null,
        JsonValueKind.Array => element.EnumerateArray().All(HasOnlyText),
        JsonValueKind.Object => element.EnumerateObject().All(member => member.Name is not null && HasOnlyText(member.Value)),
        _ => true,
    };
}
