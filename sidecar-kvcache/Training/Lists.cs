namespace Moebius.KvCache.Training;

/// <summary>Words and phrases for slots. The last fifth of each list is kept for scoring.</summary>
internal static class Lists
{
    public static readonly string[] Months = "January February March April May June July August September October November December".Split(' ');

    public static readonly string[] Companies =
    [
        "Siemens", "Acme Corporation", "Northwind", "Contoso", "Globex", "the city council", "Amazon", "the hospital", "Volkswagen", "Toyota", "a law firm", "Microsoft",
        "Blue River Bank", "Harbor Logistics", "the university", "IKEA", "Samsung", "a small bakery", "Nestlé", "Sunrise Energy", "Vodafone", "Walmart", "the post office", "Airbus",
    ];

    public static readonly string[] Topics =
    [
        "photosynthesis", "the French Revolution", "machine learning", "the water cycle", "climate change", "quantum mechanics", "the Roman Empire", "supply and demand", "inflation", "jazz",
        "a cat", "the sea", "friendship", "autumn", "healthy breakfasts", "remote work", "electric cars", "the solar system", "black holes", "vaccines", "the printing press", "renewable energy",
        "a haunted house", "garden birds", "chess openings", "the Cold War", "data structures", "binary search", "garbage collection", "unit tests", "Kubernetes", "HTTP caching", "SQL joins",
        "recursion in Python", "time management", "sleep", "meditation", "bread baking", "Italian cooking", "the history of tea", "public transport", "urban planning", "the stock market",
        "compound interest", "mortgages", "income tax", "divorce law", "tenants' rights", "copyright", "job interviews", "depression", "diabetes", "blood pressure", "pregnancy", "nutrition",
        "marathon training", "yoga", "football", "the Olympic Games", "a dragon", "a lonely robot", "space travel", "the Middle Ages", "Greek mythology", "Shakespeare's sonnets",
        "the Industrial Revolution", "plate tectonics", "volcanoes", "coral reefs", "bees", "recycling", "microplastics", "the human heart", "the immune system", "antibiotics", "genetics",
        "artificial intelligence", "large language models", "prime numbers", "probability", "calculus", "the Pythagorean theorem", "music theory", "photography", "watercolour painting",
        "architecture", "the Great Wall of China", "the Amazon rainforest", "the Arctic", "migration", "democracy", "human rights", "the United Nations", "free trade", "unemployment",
        "philosophy", "stoicism", "ethics", "logic", "rhetoric", "grammar", "etymology", "translation", "poetry", "dogs", "horses", "old ships", "lighthouses", "clocks", "bicycles",
    ];

    private static readonly string[] Places =
    [
        "France", "Paris", "London", "New York", "Japan", "Tokyo", "Italy", "Rome", "Brazil", "Canada", "Berlin", "Germany", "Spain", "Madrid", "India", "China", "Australia", "Sydney", "Egypt", "Cairo",
        "Mexico", "California", "Texas", "Scotland", "Ireland", "Norway", "Sweden", "Poland", "Russia", "Turkey", "Greece", "Athens", "Kenya", "Nigeria", "South Africa", "Argentina", "Chile", "Peru",
        "Chicago", "Boston", "San Francisco", "Los Angeles", "Amsterdam", "Vienna", "Prague", "Lisbon", "Portugal", "Hungary", "Iceland", "Korea", "Vietnam", "Thailand", "Indonesia", "New Zealand",
    ];

    private static readonly string[] Figures =
    [
        "Albert Einstein", "Isaac Newton", "Marie Curie", "William Shakespeare", "Jane Austen", "Charles Dickens", "Leonardo da Vinci", "Michelangelo", "Napoleon Bonaparte", "Julius Caesar",
        "Cleopatra", "Alexander the Great", "Abraham Lincoln", "George Washington", "Winston Churchill", "Queen Victoria", "Mahatma Gandhi", "Nelson Mandela", "Martin Luther King", "Mozart",
        "Beethoven", "Johann Sebastian Bach", "Vincent van Gogh", "Pablo Picasso", "Charles Darwin", "Galileo Galilei", "Nikola Tesla", "Thomas Edison", "Sigmund Freud", "Karl Marx", "Immanuel Kant",
        "Plato", "Aristotle", "Socrates", "Confucius", "Buddha", "Jesus", "Muhammad", "Moses", "Homer", "Dante", "Goethe", "Leo Tolstoy", "Victor Hugo", "Mark Twain", "Ernest Hemingway",
        "Agatha Christie", "Sherlock Holmes", "Harry Potter", "Romeo and Juliet", "Hamlet", "Macbeth", "Frankenstein", "Don Quixote", "Ada Lovelace", "Alan Turing", "Stephen Hawking",
        "Rosa Parks", "Amelia Earhart", "Florence Nightingale", "Joan of Arc", "Christopher Columbus", "Marco Polo", "Genghis Khan",
    ];

    private static readonly string[] Languages = ["English", "French", "German", "Spanish", "Italian", "Japanese", "Chinese", "Latin", "Polish", "Portuguese", "Arabic", "Hindi"];

    private static readonly string[] Conditions =
    [
        "diabetes", "depression", "breast cancer", "HIV", "bipolar disorder", "anxiety", "epilepsy", "multiple sclerosis", "high blood pressure", "hepatitis C", "asthma", "schizophrenia", "anorexia",
        "an eating disorder", "alcoholism", "a heart condition", "leukemia", "PTSD", "ADHD", "autism", "endometriosis", "chlamydia", "prostate cancer", "kidney failure", "a drug addiction",
        "insomnia", "migraines", "gout", "psoriasis", "eczema", "tuberculosis", "malaria", "pneumonia", "a stutter", "tinnitus", "glaucoma", "hearing loss", "fibromyalgia", "chronic fatigue", "chronic pain", "back pain", "a hernia", "gallstones", "an ulcer", "celiac disease", "lactose intolerance", "anemia", "hemophilia", "sickle cell disease", "high cholesterol", "heart failure", "angina", "an arrhythmia", "a blood clot", "lung cancer", "colon cancer", "skin cancer", "lymphoma", "thyroid cancer", "cervical cancer", "infertility", "erectile dysfunction", "menopause", "herpes", "gonorrhea", "HPV", "AIDS", "hepatitis B", "cirrhosis", "obesity", "bulimia", "panic attacks", "social phobia", "burnout", "a personality disorder", "postpartum depression", "sleep apnea", "narcolepsy", "Tourette syndrome", "dyslexia", "a learning disability", "paralysis", "a spinal injury", "muscular dystrophy", "osteoporosis", "scoliosis", "a gambling addiction", "nicotine addiction", "heroin addiction", "an allergy to nuts", "incontinence", "arthritis", "Parkinson's disease", "Crohn's disease", "lupus", "a brain tumour", "dementia", "syphilis", "OCD",
    ];

    private static readonly string[] Drugs =
    [
        "insulin", "Prozac", "lithium", "methadone", "ibuprofen", "Xanax", "antidepressants", "sertraline", "Ritalin", "metformin", "Viagra", "blood thinners", "opioids", "antiretrovirals",
        "chemotherapy drugs", "Adderall", "Lexapro", "Valium", "morphine", "fentanyl", "warfarin", "statins", "lisinopril", "birth control pills", "antipsychotics", "Suboxone", "PrEP", "hormones", "testosterone", "estrogen", "Botox", "aspirin", "codeine", "oxycodone", "Zoloft", "steroids", "sleeping pills", "beta blockers",
    ];

    private static readonly string[] Crimes = ["theft", "fraud", "assault", "drunk driving", "tax evasion", "drug possession", "vandalism", "stalking"];

    private static readonly string[] GermanConditions = ["Diabetes", "Depressionen", "Brustkrebs", "Asthma", "Bluthochdruck", "eine Angststörung", "Epilepsie", "Migräne"];

    private static readonly string[] FrenchConditions = ["diabète", "dépression", "un cancer du sein", "asthme", "épilepsie", "troubles du sommeil", "migraines"];

    private static readonly string[] SpanishConditions = ["diabetes", "depresión", "cáncer de mama", "asma", "epilepsia", "hipertensión", "migrañas"];

    public static string[] Of(string slot, bool heldOut)
    {
        var all = slot switch
        {
            "topic" => Topics,
            "place" => Places,
            "figure" => Figures,
            "language" => Languages,
            "condition" => Conditions,
            "drug" => Drugs,
            "crime" => Crimes,
            "conditionde" => GermanConditions,
            "conditionfr" => FrenchConditions,
            _ => SpanishConditions,
        };
        var kept = all.Length * 4 / 5;
        return heldOut ? all[kept..] : all[..kept];
    }
}
