namespace Moebius.KvCache.Detection;

/// <summary>What streets are called, by language and by place: behind the name, before it, or grown together with it.</summary>
internal static class StreetWords
{
    /// <summary>English and other words that follow the name: 12 Baker Street.</summary>
    public const string AfterName =
        "alley avenue ave branch bridge brook brooks burg burgs bypass camp canyon cape causeway center centers circle circles cliff cliffs club common corner corners course court courts cove coves creek crescent crest crossing crossroad curve dale dam divide drive drives estate estates expressway extension extensions fall falls ferry field fields flat flats ford fords forest forge forges fork forks fort freeway garden gardens gateway glen glens green greens grove groves harbor harbors haven heights highway hill hills hollow inlet island islands isle junction junctions key keys knoll knolls lake lakes land landing lane light lights loaf lock locks lodge loop mall manor manors meadow meadows mews mill mills mission motorway mount mountain mountains neck orchard oval overpass park parks parkway parkways pass passage path pike pine pines place plain plains plaza point points port ports prairie radial ramp ranch rapid rapids rest ridge ridges river road rd roads route row rue run shoal shoals shore shores skyway spring springs spur spurs square squares station stravenue stream street st streets summit terrace throughway trace track trafficway trail tunnel turnpike underpass union unions valley valleys via viaduct view views village villages ville vista walk walks wall way ways well wells blvd boulevard ln dr ct pl sq hwy pkwy ter cir circuit close doon esplanade quay rise " +
        "rua avenida travessa alameda rodovia marginal";

    /// <summary>Words that follow the name, with the number behind them: Gül Sokak 6, Norra Gata 5.</summary>
    public const string AfterNameNumbered =
        "sokak sokağı sk caddesi cad cadde bulvarı mahallesi " +
        "gata gatan väg vägen gate gaten vei veien allé allén plass " +
        "straße strasse str gasse weg platz allee ring ufer damm " +
        "iela bulvāris gatve dambis laukums prospekts " +
        "küç küçəsi ქუჩა ქ გამზირი გამზ ჩიხი ხეივანი " +
        "ул пр пер наб площадь пл бульвар майдан вулиця проспект переулок улица набережная";

    /// <summary>Words that come before the name: Calle Mayor 12, ul. Prosta 5, 8 rue Laffitte.</summary>
    public const string BeforeName =
        "calle calleja avenida avda plaza paseo camino carretera cuesta colonia puente vía jardines sector colegio arrabal chalet lado bloque torrente caserio caserío travesía ronda glorieta rambla urbanización polígono barranco barrio conjunto edificio entrada escalinata explanada extramuros extrarradio ferrocarril grupo gran huerta lugar manzana masía mercado monte muelle municipio parcela parque partida pasaje poblado prolongación quinta rampa riera rincón rua salida sección senda solar subida terrenos torrente tránsito ramal rambla bajada rampa aldea apartamento callejón cañada caserío ciudad corredera " +
        "rue avenue boulevard place voie passage allée impasse quai chemin route cours square villa faubourg " +
        "via viale piazza corso strada contrada borgo incrocio rotonda vicolo largo piazzale lungomare " +
        "rua av travessa praça alameda rodovia estrada largo beco " +
        "ul ulica al aleja pl plac os osiedle " +
        "ул улица пр просп проспект пер переулок площадь пл бульвар наб шоссе вул вулиця пров провулок " +
        "náměstí nám třída trg ulica " +
        "jln jalan jl ds dk gg ki jr dsn " +
        "intrarea aleea bulevardul strada calea șoseaua " +
        "küç küçəsi prospekti sahəsi " +
        "شارع طريق ميدان دوار خیابان کوچه بلوار پلاک";

    private static readonly WordTable Abbreviations = WordTable.Of(
        "ul al pl os av sk cad ds dk gg ki jr jl jln ул пр пл пер наб пров вул nám".Split(' '));

    private static readonly WordTable Prepositions = WordTable.Of(["Am", "Im", "Auf", "Zum", "Zur", "Hinter", "Beim"]);

    /// <summary>Whether the word counts only with its full stop.</summary>
    public static bool NeedsFullStop(ReadOnlySpan<char> word) => word.Length <= 4 && Abbreviations.Contains(word);

    /// <summary>Whether German streets begin with this word: Im Kreuzbruch 99.</summary>
    public static bool IsPreposition(ReadOnlySpan<char> word) => word.Length <= 6 && Prepositions.Contains(word);

    private static readonly WordTable Leading = WordTable.Of(BeforeName.Split(' '));

    /// <summary>Whether a name follows this word: rue, via, calle.</summary>
    public static bool LeadsName(ReadOnlySpan<char> word) => Leading.Contains(word);

    /// <summary>Endings of names that are one word with what they are: Ulmenweg 1, Louisedreef 1, Björkgatan 2.</summary>
    private static readonly string[] Endings =
    [
        "straße", "strasse", "str", "gasse", "allee", "platz", "ufer", "damm", "chaussee", "steig", "pfad", "promenade", "stieg", "winkel", "grund", "kamp", "busch", "ring", "weg", "berg", "feld", "hof",
        "straat", "laan", "plein", "gracht", "kade", "steeg", "dreef", "plantsoen", "velt", "sloot", "singel", "dijk", "passage", "rijk", "baan", "markt", "park", "boulevard",
        "gatan", "gata", "vägen", "väg", "gränd", "torget", "stigen", "allén", "gärdet", "torp", "slätt",
        "veien", "vegen", "gaten", "toppen", "engen", "bakken", "haugen", "svingen", "jordet", "åsen", "vei",
        "gade", "vej", "katu", "kuja", "caddesi", "sokak",
    ];

    private static readonly string[] CapitalEndings = ["STRASSE", "STRAẞE", "STRAßE", "GASSE", "ALLEE", "PLATZ", "STRAAT", "LAAN", "GATAN", "VÄGEN", "PLEIN", "GRACHT"];

    /// <summary>Whether a word in capitals ends as streets do and few other words: HAUPTSTRASSE.</summary>
    public static bool EndsInCapitals(ReadOnlySpan<char> word)
    {
        foreach (var ending in CapitalEndings)
        {
            if (word.EndsWith(ending))
                return true;
        }

        return false;
    }

    private static readonly string[][] EndingsByLast = [.. Enumerable.Range(0, 128).Select(last => Endings.Where(ending => (ending[^1] & 127) == last).ToArray())];

    private static readonly bool[] LastTwo = MarkLastTwo();

    /// <summary>Whether any ending ends with these two letters; true for letters that are close to one that does.</summary>
    public static bool MayEnd(char first, char last) => LastTwo[PairIndex(first, last)];

    private static bool[] MarkLastTwo()
    {
        var marks = new bool[128 * 128];
        foreach (var ending in Endings)
            marks[PairIndex(ending[^2], ending[^1])] = true;
        return marks;
    }

    private static int PairIndex(char first, char last) => ((char.ToLowerInvariant(first) & 127) * 128) + (char.ToLowerInvariant(last) & 127);

    /// <summary>The endings that end with this letter.</summary>
    public static string[] EndingsBy(char last) => EndingsByLast[char.ToLowerInvariant(last) & 127];
}
