using System.Text.Json;
using Moebius.Crds.V1Alpha1;
using Moebius.KvCache.Commands;
using Moebius.KvCache.Detection;

namespace Moebius.KvCache.Tests.Policy;

/// <summary>Cases made by hand, through <c>moebius policy test</c>: the exact kind and the exact characters of each finding.</summary>
public sealed class PolicyCasesTests
{
    [Fact]
    public async Task What_is_no_text_is_refused_and_a_byte_order_mark_counts_nothing()
    {
        var folder = Directory.CreateTempSubdirectory("moebius-cases-");
        try
        {
            var cancel = TestContext.Current.CancellationToken;
            var binary = Path.Combine(folder.FullName, "binary");
            await File.WriteAllBytesAsync(binary, [0x41, 0xC3, 0x28], cancel);
            foreach (var (file, says) in new[] { (binary, "not UTF-8"), (folder.FullName, "is a folder"), ("--nonsense", "no such option"), (Path.Combine(folder.FullName, "none"), "cannot be read") })
            {
                var error = await Assert.ThrowsAsync<Crds.UserInputException>(() => PolicyTestCommand.RunAsync(null, folder.FullName, json: true, [file], TextWriter.Null, cancel));
                Assert.Contains(says, error.Message, StringComparison.Ordinal);
            }

            var marked = Path.Combine(folder.FullName, "marked.txt");
            await File.WriteAllTextAsync(marked, "\uFEFF😀 a@example.org\r\n", cancel);
            using var output = new StringWriter();
            Assert.Equal(0, await PolicyTestCommand.RunAsync(null, folder.FullName, json: true, [marked], output, cancel));
            Assert.Contains("\"start\":3,\"end\":16", output.ToString(), StringComparison.Ordinal);
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    [Fact]
    public async Task A_text_may_end_anywhere()
    {
        var detector = Detector.Create(new RuleSpec(), "rules");
        foreach (var line in await File.ReadAllLinesAsync(Path.Combine(AppContext.BaseDirectory, "Data", "cases.tsv"), TestContext.Current.CancellationToken))
        {
            for (var length = 0; length <= line.Length; length++)
            {
                var text = line[..length].Replace('↵', '\n');
                Assert.All(detector.Scan(text), finding => Assert.True(finding.Start >= 0 && finding.End > finding.Start && finding.End <= text.Length));
            }
        }
    }

    [Fact]
    public async Task Each_case_is_found_exactly_or_left_alone()
    {
        var cases = (await File.ReadAllLinesAsync(Path.Combine(AppContext.BaseDirectory, "Data", "cases.tsv"), TestContext.Current.CancellationToken))
            .Where(static line => line.Length > 0 && line[0] != '#').Select(static line => line.Split('\t')).ToArray();
        // Every kind has a case with a finding and one without.
        foreach (var kind in Enum.GetNames<SecretKind>())
        {
            Assert.Contains(cases, row => row[0] == kind && row[1].Contains('⟦', StringComparison.Ordinal));
            Assert.Contains(cases, row => row[0] == kind && !row[1].Contains('⟦', StringComparison.Ordinal));
        }

        var folder = Directory.CreateTempSubdirectory("moebius-cases-");
        try
        {
            var expected = new List<string>();
            var files = new List<string>();
            for (var number = 0; number < cases.Length; number++)
            {
                var marked = cases[number][1].Replace('␣', '\u200B').Replace('↵', '\n');
                var start = marked.IndexOf('⟦', StringComparison.Ordinal);
                expected.Add(start < 0 ? $"{number}: uncertain" : $"{number}: private {cases[number][0]} {start}-{marked.IndexOf('⟧', StringComparison.Ordinal) - 1}");
                files.Add(Path.Combine(folder.FullName, $"{number}.txt"));
                await File.WriteAllTextAsync(files[^1], marked.Replace("⟦", "", StringComparison.Ordinal).Replace("⟧", "", StringComparison.Ordinal), TestContext.Current.CancellationToken);
            }

            using var output = new StringWriter();
            Assert.Equal(0, await PolicyTestCommand.RunAsync(null, folder.FullName, json: true, files, output, TestContext.Current.CancellationToken));
            using var reports = JsonDocument.Parse(output.ToString());
            Assert.Equal(expected, reports.RootElement.EnumerateArray().Select((report, number) => string.Join(' ', [
                $"{number}: {report.GetProperty("verdict").GetString()}",
                .. report.GetProperty("findings").EnumerateArray().Select(static finding =>
                    $"{finding.GetProperty("kind").GetString()} {finding.GetProperty("start").GetInt32()}-{finding.GetProperty("end").GetInt32()}")])));
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    [Fact]
    public async Task A_format_that_does_not_exist_is_refused_in_one_line()
    {
        var parsed = PolicyTestCommand.Create().Parse(["test", "-o", "xml", "file.txt"]);
        Assert.Empty(parsed.Errors);
        var error = await Assert.ThrowsAsync<Crds.UserInputException>(() => parsed.InvokeAsync(new System.CommandLine.InvocationConfiguration { EnableDefaultExceptionHandler = false }, TestContext.Current.CancellationToken));
        Assert.Equal("--output xml: must be text or json", error.Message);
    }
}
