using System.Buffers.Binary;
using System.Globalization;
using Microsoft.Win32.SafeHandles;

namespace Moebius.KvCache.Tiers;

/// <summary>
/// A pair of files: bodies, appended past the page cache, and a directory with one record for each. A body is written
/// before its record, so a record that can be read means that its body was handed to the disk; whether all of it arrived
/// is what the body's CRC tells when it is read. A segment is appended to only by the process that created it.
/// </summary>
internal sealed class Segment : IDisposable
{
    private const uint Magic = 0x53564B4D;
    private const string DataSuffix = ".data";
    private const string DirectorySuffix = ".directory";

    private readonly SafeFileHandle _data;
    private readonly SafeFileHandle _directory;
    private readonly string _dataPath;
    private readonly string _directoryPath;
    private readonly DiskIO _disk;
    private long _end;
    private int _records;

    private Segment(string path, SafeFileHandle data, SafeFileHandle directory, bool direct, long bytes, DiskIO disk)
    {
        _dataPath = path + DataSuffix;
        _directoryPath = path + DirectorySuffix;
        _disk = disk;
        _data = data;
        _directory = directory;
        IsDirect = direct;
        Bytes = bytes;
    }

    /// <summary>Whether the page cache is bypassed.</summary>
    public bool IsDirect { get; }

    /// <summary>Size of the data file.</summary>
    public long Bytes { get; }

    /// <summary>Bytes of bodies that are still wanted. Kept by the tier.</summary>
    public long LiveBytes { get; set; }

    /// <summary>Nothing more is appended.</summary>
    public bool IsSealed { get; private set; }

    /// <summary>Its files are removed.</summary>
    public bool IsDeleted { get; private set; }

    public bool HasRoom(int storedBytes) => !IsSealed && _end + storedBytes <= Bytes;

    /// <summary>Creates a segment and takes its space.</summary>
    /// <param name="folder">The tier's folder.</param>
    /// <param name="number">Not used before.</param>
    /// <param name="bytes">A multiple of <see cref="DirectFile.Alignment"/>.</param>
    /// <param name="keyCheck">Which master secret its private blocks belong to; 0: none.</param>
    /// <param name="disk">What writes.</param>
    /// <exception cref="IOException">The disk is full, or another system error.</exception>
    public static Segment Create(string folder, ulong number, long bytes, ulong keyCheck, DiskIO disk)
    {
        var path = PathOf(folder, number);
        SafeFileHandle? data = null;
        SafeFileHandle? directory = null;
        try
        {
            data = DirectFile.Open(path + DataSuffix, create: true, out var direct);
            DirectFile.Allocate(data, path + DataSuffix, bytes);
            directory = File.OpenHandle(path + DirectorySuffix, FileMode.CreateNew, FileAccess.ReadWrite, FileShare.ReadWrite | FileShare.Delete);
            Span<byte> header = stackalloc byte[SegmentRecord.Size];
            header.Clear();
            BinaryPrimitives.WriteUInt32LittleEndian(header, Magic);
            BinaryPrimitives.WriteUInt32LittleEndian(header[4..], 1);
            BinaryPrimitives.WriteUInt64LittleEndian(header[8..], keyCheck);
            BinaryPrimitives.WriteUInt32LittleEndian(header[(SegmentRecord.Size - 4)..], Crc32C.Compute(header[..(SegmentRecord.Size - 4)]));
            RandomAccess.Write(directory, header, 0);
            return new Segment(path, data, directory, direct, bytes, disk);
        }
        catch
        {
            data?.Dispose();
            directory?.Dispose();
            File.Delete(path + DataSuffix);
            File.Delete(path + DirectorySuffix);
            throw;
        }
    }

    /// <summary>Opens a segment that an earlier process left. Null: not readable as one; its files are removed.</summary>
    /// <param name="folder">The tier's folder.</param>
    /// <param name="number">Its number.</param>
    /// <param name="keyCheck">The master secret in use.</param>
    /// <param name="disk">What writes.</param>
    /// <param name="records">The records that can be read, with their positions in the directory.</param>
    /// <param name="foreign">Positions of private blocks of another secret.</param>
    /// <param name="damaged">Records that cannot be read.</param>
    public static Segment? Open(
        string folder, ulong number, ulong keyCheck, DiskIO disk, out List<(int Position, SegmentRecord Record)> records, out List<int> foreign, out int damaged)
    {
        records = [];
        foreign = [];
        damaged = 0;
        var path = PathOf(folder, number);
        var bytes = File.Exists(path + DirectorySuffix) ? File.ReadAllBytes(path + DirectorySuffix) : [];
        if (bytes.Length < SegmentRecord.Size || !File.Exists(path + DataSuffix) || !IsHeader(bytes))
        {
            damaged = Math.Max(1, bytes.Length / SegmentRecord.Size);
            File.Delete(path + DataSuffix);
            File.Delete(path + DirectorySuffix);
            return null;
        }

        var ownsPrivate = keyCheck != 0 && BinaryPrimitives.ReadUInt64LittleEndian(bytes.AsSpan(8)) == keyCheck;
        var data = DirectFile.Open(path + DataSuffix, create: false, out var direct);
        var directory = File.OpenHandle(path + DirectorySuffix, FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite | FileShare.Delete);
        var length = RandomAccess.GetLength(data);
        var segment = new Segment(path, data, directory, direct, length, disk) { IsSealed = true };
        segment._records = (bytes.Length / SegmentRecord.Size) - 1;
        for (var position = 0; position < segment._records; position++)
        {
            var source = bytes.AsSpan((position + 1) * SegmentRecord.Size, SegmentRecord.Size);
            if (SegmentRecord.Decode(source) is not { } record || record.Offset + record.StoredBytes > length)
                damaged += source.ContainsAnyExcept((byte)0) ? 1 : 0;
            else if (record.Block.IsPublic || ownsPrivate)
                records.Add((position, record));
            else
                foreign.Add(position);
        }

        return segment;
    }

    /// <summary>Numbers of the segments in a folder, oldest first.</summary>
    public static IReadOnlyList<ulong> List(string folder) =>
    [
        .. Directory.EnumerateFiles(folder, "*" + DataSuffix).Concat(Directory.EnumerateFiles(folder, "*" + DirectorySuffix))
            .Select(file => ulong.TryParse(Path.GetFileNameWithoutExtension(file), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var number) ? number : (ulong?)null)
            .OfType<ulong>().Distinct().Order(),
    ];

    /// <summary>Appends a body and its record.</summary>
    /// <param name="body">Aligned, padded to <see cref="SegmentRecord.StoredBytes"/>.</param>
    /// <param name="recordAt">Makes the record for the body's offset.</param>
    /// <returns>The record and its position in the directory.</returns>
    /// <exception cref="IOException">Nothing was added.</exception>
    public (int Position, SegmentRecord Record) Append(ReadOnlySpan<byte> body, Func<long, SegmentRecord> recordAt)
    {
        var record = recordAt(_end);
        _disk.Write(_data, _dataPath, body, _end);
        // A record that fails to be written leaves a gap of unused bytes, never two records for one place.
        _end += body.Length;
        Span<byte> encoded = stackalloc byte[SegmentRecord.Size];
        record.Encode(encoded);
        _disk.Write(_directory, _directoryPath, encoded, (_records + 1L) * SegmentRecord.Size);
        return (_records++, record);
    }

    /// <summary>Reads a body into aligned memory. False: it is not all there.</summary>
    public bool TryRead(long offset, Span<byte> body)
    {
        try
        {
            while (body.Length > 0)
            {
                var read = RandomAccess.Read(_data, body, offset);
                if (read <= 0)
                    return false;
                body = body[read..];
                offset += read;
            }

            return true;
        }
        catch (Exception error) when (error is IOException or ObjectDisposedException)
        {
            return false;
        }
    }

    /// <summary>Makes a record unreadable; on the disk itself once it is flushed.</summary>
    public void Erase(int position)
    {
        Span<byte> zeros = stackalloc byte[SegmentRecord.Size];
        zeros.Clear();
        _disk.Write(_directory, _directoryPath, zeros, (position + 1L) * SegmentRecord.Size);
    }

    /// <summary>Waits until erased records are erased on the disk itself.</summary>
    public void FlushDirectory() => _disk.Flush(_directory, _directoryPath);

    public void Seal() => IsSealed = true;

    /// <summary>Removes the files; from the disk itself once their folder is flushed. After an error it can be tried again.</summary>
    public void Delete()
    {
        // The directory first: data without one is removed at the next start.
        _disk.Delete(_directoryPath);
        _disk.Delete(_dataPath);
        IsDeleted = true;
        Dispose();
    }

    public void Dispose()
    {
        _data.Dispose();
        _directory.Dispose();
    }

    private static string PathOf(string folder, ulong number) => Path.Combine(folder, number.ToString("x16", CultureInfo.InvariantCulture));

    private static bool IsHeader(ReadOnlySpan<byte> bytes) =>
        BinaryPrimitives.ReadUInt32LittleEndian(bytes) == Magic
        && BinaryPrimitives.ReadUInt32LittleEndian(bytes[4..]) == 1
        && BinaryPrimitives.ReadUInt32LittleEndian(bytes[(SegmentRecord.Size - 4)..]) == Crc32C.Compute(bytes[..(SegmentRecord.Size - 4)]);
}
