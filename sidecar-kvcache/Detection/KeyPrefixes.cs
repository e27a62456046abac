namespace Moebius.KvCache.Detection;

/// <summary>Prefixes that issuers put on their keys, as a trie over the first characters.</summary>
internal static class KeyPrefixes
{
    private static readonly (string Prefix, int Least)[] Known =
    [
        ("AKIA", 12), ("ASIA", 12), ("AROA", 12), ("AIDA", 12), ("AGPA", 12), ("ANPA", 12), ("ABIA", 12), ("ACCA", 12),
        ("ghp_", 16), ("gho_", 16), ("ghu_", 16), ("ghs_", 16), ("ghr_", 16), ("github_pat_", 20), ("glpat-", 14), ("gldt-", 14), ("glrt-", 14),
        ("xoxb-", 12), ("xoxp-", 12), ("xoxa-", 12), ("xoxr-", 12), ("xoxs-", 12), ("xoxe-", 12), ("xapp-", 12),
        ("sk_live_", 14), ("sk_test_", 14), ("pk_live_", 14), ("pk_test_", 14), ("rk_live_", 14), ("rk_test_", 14), ("whsec_", 14),
        ("AIza", 20), ("ya29", 20), ("GOCSPX-", 16), ("sk-", 20), ("sk-proj-", 20), ("sk-ant-", 20), ("sk-or-", 20), ("npm_", 20), ("pypi-", 20),
        ("hf_", 20), ("dop_v1_", 20), ("doo_v1_", 20), ("shpat_", 16), ("shpca_", 16), ("shpss_", 16), ("SG", 30), ("key-", 24), ("EAAC", 24),
        ("sq0atp-", 16), ("sq0csp-", 16), ("EAAA", 24), ("rubygems_", 16), ("gsk_", 20), ("xai-", 20), ("r8_", 20), ("pat-", 20), ("lin_api_", 16),
        ("ntn_", 20), ("secret_", 24), ("vault", 24), ("hvs", 20), ("dckr_pat_", 16), ("tskey-", 16), ("figd_", 16), ("PMAK-", 16), ("nvapi-", 16), ("atlasv1", 16),
        ("NRAK-", 20), ("NRII-", 20), ("AGE-SECRET-KEY-1", 30), ("glsa_", 20), ("dapi", 32), ("pplx-", 20), ("sbp_", 20), ("pscale_tkn_", 20), ("pscale_pw_", 20), ("fm2_", 20), ("oy2", 40),
        ("ATATT3", 20), ("ATCTT3", 20), ("glptt-", 16), ("glcbt-", 16), ("gloas-", 16), ("shppa_", 16), ("sq0idp-", 16), ("phc_", 20), ("phx_", 20), ("sntrys_", 20), ("sntryu_", 20),
        ("rdme_", 20), ("EZAK", 30), ("EZTK", 30), ("ops_", 40), ("GR1348941", 20),
    ];

    private static readonly Node Root = Build();

    /// <summary>Least length of a key whose prefix this text starts with; 0: none.</summary>
    public static int Find(ReadOnlySpan<char> text)
    {
        var node = Root;
        var least = 0;
        foreach (var character in text)
        {
            if (character >= 128 || node.Next[character] is not { } next)
                break;
            node = next;
            if (node.Least > 0)
                least = node.Least;
        }

        return least;
    }

    private static Node Build()
    {
        var root = new Node();
        foreach (var (prefix, least) in Known)
        {
            var node = root;
            foreach (var character in prefix)
                node = node.Next[character] ??= new Node();
            node.Least = least;
        }

        return root;
    }

    private sealed class Node
    {
        public Node?[] Next { get; } = new Node?[128];

        public int Least { get; set; }
    }
}
