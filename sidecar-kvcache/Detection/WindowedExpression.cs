using System.Text.RegularExpressions;

namespace Moebius.KvCache.Detection;

/// <summary>
/// An expression of the policy's own over sliding windows. One match of a non-backtracking expression is linear, but
/// finding all of them may read the rest of the text for each; a window bounds that.
/// </summary>
internal sealed class WindowedExpression(string name, Regex expression)
{
    /// <summary>Characters that a window looks at.</summary>
    public const int Window = 8192;

    /// <summary>Longest match that is found wherever it lies.</summary>
    public const int Overlap = 2048;

    /// <summary>Reads a text as it is written.</summary>
    public void Scan(string text, FindingSink sink) => Scan(text, null, sink);

    /// <summary>Reads a text as it looks.</summary>
    public void Scan(ScanView view, FindingSink sink) => Scan(view.Written.AsSpan(0, view.Length), view, sink);

    private void Scan(ReadOnlySpan<char> text, ScanView? view, FindingSink sink)
    {
        for (var start = 0; start < text.Length; start += Window - Overlap)
        {
            var window = text.Slice(start, Math.Min(Window, text.Length - start));
            foreach (var match in expression.EnumerateMatches(window))
            {
                if (match.Length == 0)
                    continue;
                var (first, last) = (start + match.Index, start + match.Index + match.Length - 1);
                sink.Add(new Finding(1, name, view?.StartOf(first) ?? first, view?.EndOf(last) ?? last + 1));
            }

            if (start + window.Length == text.Length)
                break;
        }
    }
}
