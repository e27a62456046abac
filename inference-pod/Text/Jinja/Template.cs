namespace Moebius.Inference.Text.Jinja;

/// <summary>
/// A Jinja template, as far as chat templates use the language: output, if, for, set, macro, call, filter and
/// generation blocks, break and continue, the filters, tests and methods that <see cref="Filters"/>,
/// <see cref="Tests"/> and <see cref="Methods"/> list. Anything else is refused by name when the template is read.
/// </summary>
internal sealed class Template
{
    private readonly IReadOnlyList<Statement> _body;

    private Template(IReadOnlyList<Statement> body) => _body = body;

    /// <summary>Reads a template.</summary>
    /// <exception cref="JinjaException">It is damaged, or uses what is not supported.</exception>
    public static Template Parse(string source) => new(Parser.Parse(source));

    /// <summary>Runs the template. Thread-safe.</summary>
    /// <exception cref="JinjaException">The template refuses its input, or asks for something impossible.</exception>
    public string Render(IReadOnlyDictionary<string, object?> variables, TimeProvider clock) =>
        new Interpreter(clock.GetLocalNow).Run(_body, variables);
}
