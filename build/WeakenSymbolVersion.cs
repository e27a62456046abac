using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Text;
using Microsoft.Build.Framework;
using Microsoft.Build.Utilities;

/// <summary>
/// Marks one required symbol version of an ELF library as weak, so that the dynamic linker warns instead of refusing
/// when the system's library does not define it. Written for the netstandard2.0 surface that inline tasks compile
/// against. See docs/decisions/0002-libtorch-on-older-libstdcxx.md.
/// </summary>
public sealed class WeakenSymbolVersion : Task
{
    private const uint SectionRela = 4;
    private const uint SectionVersionNeeds = 0x6ffffffe;
    private const uint SectionVersionSymbols = 0x6fffffff;
    private const ushort FlagWeak = 2;

    /// <summary>The output copies of the library; a file that does not exist is passed over.</summary>
    [Required]
    public ITaskItem[] Files { get; set; }

    /// <summary>The version to weaken, for example GLIBCXX_3.4.32.</summary>
    [Required]
    public string Version { get; set; }

    /// <summary>The file name of the system library that should define it, for example libstdc++.so.6.</summary>
    [Required]
    public string ProvidedBy { get; set; }

    /// <inheritdoc/>
    public override bool Execute()
    {
        if (SystemProvides())
            return true;
        foreach (ITaskItem item in Files)
        {
            string path = item.ItemSpec;
            if (File.Exists(path))
                Weaken(path);
        }
        return !Log.HasLoggedErrors;
    }

    private bool SystemProvides()
    {
        IEnumerable<string> folders = new[] { "/usr/lib/x86_64-linux-gnu", "/lib/x86_64-linux-gnu", "/usr/lib64", "/lib64", "/usr/lib", "/lib" };
        string extra = Environment.GetEnvironmentVariable("LD_LIBRARY_PATH");
        if (!string.IsNullOrEmpty(extra))
            folders = extra.Split(new[] { ':' }, StringSplitOptions.RemoveEmptyEntries).Concat(folders);
        string library = folders.Select(f => Path.Combine(f, ProvidedBy)).FirstOrDefault(File.Exists);
        return library != null && Encoding.GetEncoding(28591).GetString(File.ReadAllBytes(library)).Contains(Version + "\0");
    }

    private void Weaken(string path)
    {
        byte[] elf = File.ReadAllBytes(path);
        bool is64BitLittleEndian = elf.Length > 64 && elf[0] == 0x7f && elf[1] == 'E' && elf[2] == 'L' && elf[3] == 'F' && elf[4] == 2 && elf[5] == 1;
        if (!is64BitLittleEndian)
        {
            Log.LogError("{0}: not a 64-bit little-endian ELF library", path);
            return;
        }
        Section[] sections = ReadSections(elf);
        Section needs = sections.FirstOrDefault(s => s.Type == SectionVersionNeeds);
        Section versions = sections.FirstOrDefault(s => s.Type == SectionVersionSymbols);
        if (needs == null || versions == null)
        {
            Log.LogError("{0}: no symbol version sections", path);
            return;
        }
        int entry = FindEntry(elf, needs, sections[needs.Link]);
        if (entry < 0)
            return; // A later build of the library no longer asks for the version: nothing to do.
        ushort flags = BitConverter.ToUInt16(elf, entry + 4);
        if ((flags & FlagWeak) != 0)
            return;
        ushort index = BitConverter.ToUInt16(elf, entry + 6);
        if (IsRelocated(elf, sections, versions, index))
        {
            Log.LogError("{0}: a relocation needs {1}; install a {2} that has it", path, Version, ProvidedBy);
            return;
        }
        BitConverter.GetBytes((ushort)(flags | FlagWeak)).CopyTo(elf, entry + 4);
        Replace(path, elf);
        Log.LogMessage(MessageImportance.Normal, "{0}: {1} marked weak", path, Version);
    }

    private static Section[] ReadSections(byte[] elf)
    {
        long table = BitConverter.ToInt64(elf, 0x28);
        int size = BitConverter.ToUInt16(elf, 0x3a);
        int count = BitConverter.ToUInt16(elf, 0x3c);
        var sections = new Section[count];
        for (int i = 0; i < count; i++)
        {
            int at = checked((int)(table + (long)i * size));
            sections[i] = new Section
            {
                Type = BitConverter.ToUInt32(elf, at + 4),
                Offset = checked((int)BitConverter.ToInt64(elf, at + 24)),
                Size = checked((int)BitConverter.ToInt64(elf, at + 32)),
                Link = BitConverter.ToInt32(elf, at + 40),
            };
        }
        return sections;
    }

    /// <summary>Offset of the Elf64_Vernaux whose name is the version, or -1.</summary>
    private int FindEntry(byte[] elf, Section needs, Section names)
    {
        int need = needs.Offset;
        while (true)
        {
            int aux = need + BitConverter.ToInt32(elf, need + 8);
            for (int left = BitConverter.ToUInt16(elf, need + 2); left > 0; left--)
            {
                int name = names.Offset + BitConverter.ToInt32(elf, aux + 8);
                if (Encoding.ASCII.GetString(elf, name, Array.IndexOf(elf, (byte)0, name) - name) == Version)
                    return aux;
                aux += BitConverter.ToInt32(elf, aux + 12);
            }
            int next = BitConverter.ToInt32(elf, need + 12);
            if (next == 0)
                return -1;
            need += next;
        }
    }

    /// <summary>Whether any relocation refers to a symbol of that version: then weakening would hide a real lack.</summary>
    private static bool IsRelocated(byte[] elf, Section[] sections, Section versions, ushort index)
    {
        foreach (Section rela in sections.Where(s => s.Type == SectionRela))
        {
            for (int at = rela.Offset; at < rela.Offset + rela.Size; at += 24)
            {
                int symbol = BitConverter.ToInt32(elf, at + 12);
                if (symbol != 0 && (BitConverter.ToUInt16(elf, versions.Offset + 2 * symbol) & 0x7fff) == index)
                    return true;
            }
        }
        return false;
    }

    /// <summary>
    /// The output file is a hard link into the package cache, so the bytes go to a new file that takes its name. Its
    /// time stamp stays, so that the next incremental build does not copy the original over it.
    /// </summary>
    private static void Replace(string path, byte[] bytes)
    {
        string temporary = path + "." + Guid.NewGuid().ToString("N");
        DateTime written = File.GetLastWriteTimeUtc(path);
        File.WriteAllBytes(temporary, bytes);
        File.SetLastWriteTimeUtc(temporary, written);
        File.Replace(temporary, path, null);
    }

    private sealed class Section
    {
        public uint Type;
        public int Offset;
        public int Size;
        public int Link;
    }
}
