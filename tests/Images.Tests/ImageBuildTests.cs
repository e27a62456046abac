namespace Moebius.Images.Tests;

public sealed class ImageBuildTests : TemporaryFolder
{
    [Fact]
    public async Task Revision_says_when_the_files_are_not_those_of_the_commit()
    {
        var repository = Directory.CreateDirectory(At("repository")).FullName;
        await File.WriteAllTextAsync(Path.Combine(repository, "file"), "one", CancellationToken.None);
        await GitAsync("init", "--quiet");
        await GitAsync("add", "file");
        await GitAsync("-c", "user.name=n", "-c", "user.email=n@example.org", "commit", "--quiet", "-m", "m");
        var commit = (await GitAsync("rev-parse", "HEAD")).Trim();
        Assert.Equal(commit, await RevisionAsync());

        await File.WriteAllTextAsync(Path.Combine(repository, "file"), "another", CancellationToken.None);
        Assert.Equal(commit + "-dirty", await RevisionAsync());

        Task<string> GitAsync(params string[] arguments) => Shell.RunAsync("git", ["-C", repository, .. arguments], CancellationToken.None);

        async Task<string> RevisionAsync() => (await ImageBuild.OfCheckoutAsync(repository, At("images"), "registry.example", null, CancellationToken.None)).Revision;
    }
}
