using Moebius.Cli.Local;
using Moebius.Crds;

namespace Moebius.Cli.Tests;

public sealed class StateDirectoryTests : IDisposable
{
    private readonly string _name = Guid.NewGuid().ToString("N");
    private readonly string _elsewhere = Directory.CreateTempSubdirectory("moebius-state-").FullName;

    public void Dispose() => Directory.Delete(_elsewhere, recursive: true);

    [Fact]
    public void It_is_made_for_its_owner_alone_and_goes_as_a_whole()
    {
        var state = StateDirectory.Of(_name);
        state.Create();
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute, File.GetUnixFileMode(state.Root));
        Assert.True(StateDirectory.Of(_name).Exists);
        state.Remove();
        Assert.False(Directory.Exists(state.Root) || Directory.Exists(state.Memory));
    }

    [Fact]
    public void What_somebody_else_put_there_is_refused()
    {
        var state = StateDirectory.Of(_name);
        // As another user of the machine could: a link to a directory of his.
        Directory.CreateSymbolicLink(state.Root, _elsewhere);
        try
        {
            Assert.StartsWith($"{state.Root}: is there and is no directory of yours", Assert.Throws<UserInputException>(() => StateDirectory.Of(_name)).Message, StringComparison.Ordinal);
        }
        finally
        {
            Directory.Delete(state.Root);
        }

        Assert.SkipUnless(Environment.IsPrivilegedProcess, "giving a directory to another user needs root");
        Directory.CreateDirectory(state.Root);
        try
        {
            System.Diagnostics.Process.Start("chown", ["65534", state.Root]).WaitForExit();
            Assert.Throws<UserInputException>(() => StateDirectory.Of(_name));
        }
        finally
        {
            Directory.Delete(state.Root);
        }
    }

    [Theory]
    [InlineData("")]
    [InlineData("{\"supervisorPid\":1,\"failure\":null,\"exitCode\":0,\"containers\":[]}")]
    public void A_file_that_cannot_be_read_is_told_with_what_to_do(string text)
    {
        var state = StateDirectory.Of(_name);
        state.Create();
        try
        {
            File.WriteAllText(state.StatusFile, text);
            Assert.StartsWith($"{state.StatusFile}: is damaged, or written by another version: end", Assert.Throws<UserInputException>(() => LocalInstance.Status(state)).Message, StringComparison.Ordinal);
        }
        finally
        {
            state.Remove();
        }
    }

    [Fact]
    public void A_directory_that_appears_between_looking_and_making_is_not_used()
    {
        var state = StateDirectory.Of(_name);
        Directory.CreateDirectory(state.Root);
        try
        {
            Assert.Throws<IOException>(state.Create);
        }
        finally
        {
            state.Remove();
        }
    }
}
