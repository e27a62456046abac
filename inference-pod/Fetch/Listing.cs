using Moebius.Crds;

namespace Moebius.Inference.Fetch;

/// <summary>Keeps the reading of a store's listing within bounds: a store that goes wrong, or means harm, could go on for ever.</summary>
/// <param name="name">What is listed, for people.</param>
internal sealed class Listing(string name)
{
    /// <summary>Most pages. S3 and the Hub put up to 1,000 entries on one.</summary>
    public const int MostPages = 100;

    /// <summary>Most entries on all pages, wanted or not.</summary>
    public const int MostEntries = 100_000;

    /// <summary>Most bytes of one page.</summary>
    public const int MostPageBytes = 16 << 20;

    private readonly HashSet<string> _pages = [];
    private int _entries;

    /// <summary>A page is about to be asked for.</summary>
    /// <param name="page">What tells it from other pages.</param>
    /// <exception cref="UserInputException">It was read before, or it is one too many.</exception>
    public void BeginPage(string page)
    {
        if (!_pages.Add(page))
            throw new UserInputException($"{name}: page {_pages.Count + 1} of the listing is one that was read before: the store would go on for ever; check the endpoint");
        if (_pages.Count > MostPages)
            throw new UserInputException($"{name}: the listing has more than {MostPages} pages: name a prefix or a repository that holds one model");
    }

    /// <summary>A page has so many entries.</summary>
    /// <exception cref="UserInputException">All pages together have too many.</exception>
    public void Add(int count)
    {
        _entries += count;
        if (_entries > MostEntries)
            throw new UserInputException($"{name}: the listing has more than {MostEntries} entries: name a prefix or a repository that holds one model");
    }

    /// <summary>Reads a page.</summary>
    /// <exception cref="UserInputException">It is too long.</exception>
    public async Task<MemoryStream> ReadAsync(HttpResponseMessage response, CancellationToken cancellationToken)
    {
        var page = new MemoryStream();
        var stream = await response.Content.ReadAsStreamAsync(cancellationToken).ConfigureAwait(false);
        var buffer = new byte[1 << 16];
        while (await Stalls.ReadAsync(stream, buffer, TimeProvider.System, cancellationToken).ConfigureAwait(false) is > 0 and var read)
        {
            page.Write(buffer, 0, read);
            if (page.Length > MostPageBytes)
                throw new UserInputException($"{name}: a page of the listing is longer than {MostPageBytes >> 20} MiB: check the endpoint");
        }

        page.Position = 0;
        return page;
    }
}
