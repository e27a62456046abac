using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Security.Cryptography;
using Moebius.Inference.Kernels;
using Moebius.Inference.Models;

namespace Moebius.Inference.Tests.Kernels;

/// <summary>
/// The kernels with AVX-512 and without, bit by bit: the same test runs in a process that is told to do without.
/// </summary>
public class PortableKernelTests
{
    private const string OutputVariable = "MOEBIUS_TEST_KERNEL_BITS";

    [Fact]
    public async Task Results_have_the_same_bits_without_AVX512()
    {
        if (Environment.GetEnvironmentVariable(OutputVariable) is { } output)
        {
            await File.WriteAllTextAsync(output, $"{Vector512.IsHardwareAccelerated} {Bits()}", TestContext.Current.CancellationToken);
            return;
        }
        if (!Vector512.IsHardwareAccelerated)
            Assert.Skip("this processor has no AVX-512: there is only the portable path");
        using var directory = new TemporaryDirectory();
        var path = Path.Combine(directory.Path, "bits");
        var start = new ProcessStartInfo(Path.Combine(AppContext.BaseDirectory, "Moebius.Inference.Tests"))
        {
            RedirectStandardOutput = true,
            ArgumentList = { "-method", $"{typeof(PortableKernelTests).FullName}.{nameof(Results_have_the_same_bits_without_AVX512)}" },
            Environment = { [OutputVariable] = path, ["DOTNET_EnableAVX512"] = "0", ["DOTNET_EnableAVX512F"] = "0" },
        };
        using var process = Process.Start(start)!;
        var ending = EndAsync(process);
        if (await Task.WhenAny(ending, Task.Delay(Eventually.Limit, TestContext.Current.CancellationToken)) != ending)
            process.Kill();
        var said = await ending;
        Assert.True(File.Exists(path), said);
        Assert.Equal($"False {Bits()}", await File.ReadAllTextAsync(path, TestContext.Current.CancellationToken));
    }

    private static async Task<string> EndAsync(Process process)
    {
        var said = await process.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken);
        await process.WaitForExitAsync(TestContext.Current.CancellationToken);
        return said;
    }

    /// <summary>What routers choose for several tokens, and weights of tokens in a draw.</summary>
    private static unsafe void Choices(IncrementalHash hash)
    {
        const int Experts = 64, Tokens = 19, Chosen = 6;
        var experts = new int[Tokens * Chosen];
        var weights = new float[Tokens * Chosen];
        fixed (float* scores = TileTests.Values(Tokens * Experts, 5))
            Router.Route(new RouterSpec(RouterKind.SoftmaxTopK, Experts, Chosen), new Rows(scores, Tokens, Experts), [], experts, weights);
        hash.AppendData(MemoryMarshal.AsBytes<int>(experts));
        hash.AppendData(MemoryMarshal.AsBytes<float>(weights));
        var powers = new ScaledExponential(1 / 0.8, 0);
        var sixteen = new float[16];
        for (var i = 0; i < 500; i++)
        {
            powers.Of(Vector512.CreateSequence(-0.15f * i, -0.01f)).CopyTo(sixteen);
            hash.AppendData(MemoryMarshal.AsBytes<float>(sixteen));
        }
    }

    /// <summary>A digest of products in all formats and tiles, with whole and partial groups.</summary>
    private static unsafe string Bits()
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach (var format in Enum.GetValues<WeightFormat>())
        {
            foreach (var k in new[] { 96, 50 })
            {
                const int Columns = 39;
                var stored = TileTests.Store(format, TileTests.Values(Columns * k, 3), k);
                for (var rows = 1; rows <= 6; rows++)
                {
                    var y = new float[rows * Columns];
                    fixed (float* px = TileTests.Values(rows * k, rows), py = y)
                    fixed (byte* pw = stored)
                        MatrixProduct.Run(px, k, WeightRows.Packed(pw, format, k, null), py, Columns, rows, 0, Columns, k);
                    hash.AppendData(MemoryMarshal.AsBytes<float>(y));
                }
            }
        }
        Choices(hash);
        return Convert.ToHexString(hash.GetHashAndReset());
    }
}
