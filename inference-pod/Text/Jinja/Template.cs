using System.Collections.Frozen;

namespace Moebius.Inference.Text.Jinja;

/// <summary>
/// A Jinja template, as far as chat templates use the language: output, if, for, set, macro, call, filter and
/// generation blocks, break and continue, the filters, tests and methods that <see cref="Filters"/>,
/// <see cref="Tests"/> and <see cref="Methods"/> list. Anything else is refused by name when the template is read.
/// </summary>
internal sealed class Template
{
    private readonly IReadOnlyList<Statement> _body;
    private readonly FrozenSet<string> _words;

    private Template(IReadOnlyList<Statement> body, FrozenSet<string> words) => (_body, _words) = (body, words);

    /// <summary>Reads a template.</summary>
    /// <exception cref="JinjaException">It is damaged, or uses what is not supported.</exception>
    public static Template Parse(string source)
    {
        var tokens = Lexer.Tokenize(source);
        return new Template(Parser.Parse(tokens), tokens.Where(static token => token.Kind is TokenKind.Name or TokenKind.String).Select(static token => token.Value).ToFrozenSet(StringComparer.Ordinal));
    }

    /// <summary>Whether the name of a variable or field stands anywhere in the template, bare or as a text: one that does not has no effect.</summary>
    public bool Knows(string name) => _words.Contains(name);

    /// <summary>Runs the template. Thread-safe.</summary>
    /// <exception cref="JinjaException">The template refuses its input, or asks for something impossible.</exception>
    public string Render(IReadOnlyDictionary<string, object?> variables, TimeProvider clock) =>
        new Interpreter(clock).Run(_body, variables);
}
