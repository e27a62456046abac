using System.Buffers.Binary;
using System.Text.Json;
using Moebius.Inference.Checkpoints;

namespace Moebius.Inference.Tests;

/// <summary>A tensor with its bytes.</summary>
internal sealed record StoredTensor(string Type, long[] Shape, byte[] Bytes);

/// <summary>Rewrites a model's weights.</summary>
internal static class TensorFiles
{
    /// <summary>Lets the caller change the tensors of a model, and writes them into one file in place of its shards.</summary>
    public static void EditTensors(this TemporaryModel model, Action<SortedDictionary<string, StoredTensor>> edit)
    {
        var tensors = new SortedDictionary<string, StoredTensor>(StringComparer.Ordinal);
        using (var checkpoint = Checkpoint.Open(model.Path))
        {
            foreach (var name in checkpoint.Names)
            {
                var (file, entry) = checkpoint.Find(name);
                var bytes = new byte[entry.Length];
                file.Read(entry, 0, bytes);
                tensors.Add(name, new StoredTensor(entry.Type.Name(), entry.Shape, bytes));
            }
            foreach (var file in checkpoint.Files)
                File.Delete(file.Path);
        }
        File.Delete(model.File_(Checkpoint.Index));
        edit(tensors);
        long at = 0;
        var header = new Dictionary<string, object>();
        foreach (var (name, tensor) in tensors)
            header.Add(name, new { dtype = tensor.Type, shape = tensor.Shape, data_offsets = new[] { at, at += tensor.Bytes.Length } });
        byte[] json = JsonSerializer.SerializeToUtf8Bytes(header), prefix = new byte[8];
        BinaryPrimitives.WriteInt64LittleEndian(prefix, json.Length);
        using var written = File.Create(model.File_(Checkpoint.Single));
        foreach (var bytes in tensors.Values.Select(tensor => tensor.Bytes).Prepend(json).Prepend(prefix))
            written.Write(bytes);
    }
}
