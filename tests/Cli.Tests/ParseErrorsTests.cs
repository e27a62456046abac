using System.CommandLine;

namespace Moebius.Cli.Tests;

public sealed class ParseErrorsTests
{
    [Theory]
    [InlineData("foo", "Unrecognized command or argument 'foo'. (see 'moebius --help')")]
    [InlineData("verify", "Required argument 'DIR' missing for command: 'verify'. (see 'moebius verify --help')")]
    [InlineData("perplexity some/model", "Option '--text' is required. (see 'moebius perplexity --help')")]
    [InlineData("model size", "Option '--model' is required. (see 'moebius model size --help')")]
    [InlineData("serve --model m --threads x", "Cannot parse argument 'x' for option '--threads': an integer is expected. (see 'moebius serve --help')")]
    [InlineData("serve --model m --thread 3", "Unrecognized command or argument '--thread'. (see 'moebius serve --help')")]
    [InlineData("serve --model m --pack ", "--pack: is empty: give a value, or leave it out (see 'moebius serve --help')")]
    [InlineData("serve --model m --pack=", "Required argument missing for option: '--pack'. (see 'moebius serve --help')")]
    [InlineData("verify ", "DIR: is empty: give a value, or leave it out (see 'moebius verify --help')")]
    [InlineData("validate -f a -f ", "--filename: is empty: give a value, or leave it out (see 'moebius validate --help')")]
    [InlineData("local up -f ", "--filename: is empty: give a value, or leave it out (see 'moebius local up --help')")]
    [InlineData("serve --model m", null)]
    public void An_error_names_the_command_and_what_would_be_right(string line, string? expected)
    {
        var words = line.Split(' ');
        var root = new RootCommand();
        foreach (var command in Commands.For(words[0]))
            root.Add(command);
        Assert.Equal(expected, ParseErrors.Find(root.Parse(words)));
    }
}
