using System.Buffers;
using System.Runtime.CompilerServices;
using Moebius.Crds.V1Alpha1;

namespace Moebius.KvCache.Detection;

/// <summary>What a word says about the numbers and names around it.</summary>
[Flags]
internal enum Hint
{
    None = 0,
    Phone = 1 << 0,
    Birth = 1 << 1,
    Ssn = 1 << 2,
    Passport = 1 << 3,
    Licence = 1 << 4,
    Medical = 1 << 5,
    Address = 1 << 6,
    Position = 1 << 7,
    Card = 1 << 8,
    Secret = 1 << 9,
    Bearer = 1 << 10,
    Month = 1 << 11,
    StreetAfterName = 1 << 12,
    StreetBeforeName = 1 << 13,
    Nino = 1 << 14,
    Network = 1 << 15,
    Residence = 1 << 16,
    Key = 1 << 17,
    Section = 1 << 18,
    Wallet = 1 << 19,
    Bank = 1 << 20,
    StreetNumbered = 1 << 21,
    StreetEnding = 1 << 22,
    WeakSecret = 1 << 23,
    Book = 1 << 24,
    National = 1 << 25,
    Plate = 1 << 26,
    Command = 1 << 27,
    PostBox = 1 << 28,
    Item = 1 << 29,
}

/// <summary>The words of many languages that tell what a number is. All are stored as they look after folding.</summary>
internal static class Vocabulary
{
    /// <summary>Longest word looked up.</summary>
    public const int MaxLength = 24;

    private static readonly WordTable Words = Build();

    private static readonly Dictionary<char, List<(string Word, Hint Hint)>> Ideographic = BuildIdeographic();

    // Turns nearly all characters away.
    private static readonly SearchValues<char> IdeographicStarts = SearchValues.Create([.. Ideographic.Keys]);

    /// <summary>The hint of a folded word in any case.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Hint Find(ReadOnlySpan<char> word)
    {
        if (word.Length is < 2 or > MaxLength)
            return Hint.None;
        var hint = (Hint)Words.Find(word);
        return hint == Hint.None && word.Length >= 5 ? StreetEnding(word) : hint;
    }

    /// <summary>The hint of a word without spaces around it (Chinese, Japanese, Korean) that starts here.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Hint FindIdeographic(ReadOnlySpan<char> text, out int length)
    {
        length = 0;
        if (!IdeographicStarts.Contains(text[0]) || !Ideographic.TryGetValue(text[0], out var candidates))
            return Hint.None;
        foreach (var (word, hint) in candidates)
        {
            if (text.StartsWith(word))
            {
                length = word.Length;
                return hint;
            }
        }

        return Hint.None;
    }

    /// <summary>The kind that a value under this hint is.</summary>
    public static SecretKind KindOf(Hint hint) => hint switch
    {
        Hint.Passport => SecretKind.Passport,
        Hint.Licence => SecretKind.DrivingLicence,
        Hint.Medical => SecretKind.MedicalRecord,
        Hint.Ssn => SecretKind.UsSsn,
        Hint.Nino => SecretKind.UkNino,
        Hint.Card => SecretKind.CreditCard,
        Hint.Bank => SecretKind.Iban,
        Hint.Phone => SecretKind.Phone,
        Hint.Wallet => SecretKind.CryptoWallet,
        Hint.National => SecretKind.NationalId,
        Hint.Plate => SecretKind.LicencePlate,
        _ => SecretKind.Password,
    };

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static Hint StreetEnding(ReadOnlySpan<char> word)
    {
        // By the last two letters first: no street ends like most words do.
        if (!StreetWords.MayEnd(word[^2], word[^1]))
            return Hint.None;
        foreach (var ending in StreetWords.EndingsBy(word[^1]))
        {
            if (word.Length > ending.Length + 1 && word.EndsWith(ending, StringComparison.OrdinalIgnoreCase))
                return Hint.StreetEnding;
        }

        return Hint.None;
    }

    private static WordTable Build()
    {
        var words = new Dictionary<string, int>(StringComparer.Ordinal);
        void Add(Hint hint, string list)
        {
            foreach (var word in list.Split(' ', StringSplitOptions.RemoveEmptyEntries))
            {
                foreach (var form in WordTable.Forms([word]))
                    words[form] = words.GetValueOrDefault(form) | (int)hint;
            }
        }

        Add(Hint.Phone, "phone tlf telephone tel telefon telefono teléfono téléphone telefone telefoon telefonnummer telefoonnummer mobile mobil móvil celular cell cellphone handy handynummer portable gsm fax whatsapp signal sms callback hotline telefonu numarası komórka komórkowy puhelin puhelinnumero mobiltelefon телефон телефону телефона тел мобильный моб τηλέφωνο phonenumber");
        Add(Hint.Birth, "dob birthdate birthday birth born geboren geburtsdatum geburtstag geb naissance né née nacimiento nacido nacida nascimento nascido nascida nascita nato nata geboortedatum geboren urodzenia urodzony urodzona ur född födelsedatum fødselsdato fødd syntymäaika рождения родился родилась рожд doğum doğumlu narození narozen narozena birthdate dateofbirth γέννησης");
        Add(Hint.Ssn, "ssn social ssns socialsecurity itin tin taxpayer");
        Add(Hint.Passport, "passport passports reisepass reisepassnummer passeport pasaporte passaporte passaporto paspoort paspoortnummer paszport paszportu паспорт паспорта pasaport passnummer passnumber passportnumber");
        Add(Hint.Licence, "licence license licences licenses driver driving drivers dl führerschein führerscheinnummer permis conducir carnet conducción cnh habilitação patente rijbewijs rijbewijsnummer prawo prawojazdy körkort körkortsnummer водительское удостоверение ehliyet sürücü řidičský průkaz");
        Add(Hint.Medical, "mrn medical patient patients nhs hospital chart patientennummer patientennr krankenakte dossier expediente historia prontuário cartella medisch patiëntnummer dokumentacji patientnummer journalnummer медицинская карта hasta patientid medicalrecord krankenversichertennummer kvnr medicare medicaid");
        Add(Hint.Address, "address addresses adress addres adresse anschrift direccion dirección domicilio endereço morada indirizzo adres adresa adresi osoite адрес адресу адреса wohnhaft addr résidence wohnadresse postadress cím διεύθυνση");
        Add(Hint.Residence, "live lives living lived reside resides residing located ship shipped deliver delivered delivery mail mailed wohne wohnt habite vive vivo abito woon woont mieszkam mieszka bor moro mora живу проживает проживаю bydlím oturuyorum house home apartment flat");
        Add(Hint.Position, "gps lat latitude lon lng longitude coordinates coordinate coords location position koordinaten breitengrad längengrad coordonnées coordenadas coordinate coördinaten współrzędne koordinater координаты широта долгота");
        Add(Hint.Card, "card cards credit debit visa mastercard amex kreditkarte kartennummer carte tarjeta cartão carta creditcard creditkaart karta karty kort kortnummer карта карты kart cvv cvc pan");
        Add(Hint.Bank, "iban account konto kontonummer compte cuenta conta conto rekening rekeningnummer bankverbindung счет счёт hesap bank rachunku");
        Add(Hint.Secret, "password passwords passwd passwort passphrase passcode pwd kennwort contraseña wachtwoord hasło пароль пароля lösenord şifre sifre heslo salasana jelszó pincode mdp passord senha parola");
        Add(Hint.WeakSecret, "otp pass passe pw secret secrets clave pin credential credentials geheim geheimnis");
        Add(Hint.National, "cpf cnpj pesel nip regon dni nif nie codice fiscale personnummer henkilötunnus hetu bsn burgerservicenummer aadhaar aadhar sin insee nir fødselsnummer personnr cpr kimlik tckn снилс инн rijksregisternummer steuernummer steueridentifikationsnummer steuerid ustid umsatzsteuer idnr ahv avs vat tva piva iva curp nric tfn ein rodné národní identyfikacji");
        Add(Hint.Command, "sshpass identified curl mysql mysqldump");
        Add(Hint.PostBox, "box postfach postbus postboks apartado");
        Add(Hint.Plate, "plate plates numberplate licenseplate kennzeichen nummernschild plaque immatriculation matrícula targa kenteken rejestracyjny госномер plaka placa");
        Add(Hint.Book, "isbn issn doi upc ean gtin lccn pmid sku batch article artikel catalogue catalog");
        Add(Hint.Item, "order orders invoice ticket case part parcel tracking bestellung bestell auftrag auftrags rechnung rechnungs lieferschein vorgang commande facture colis pedido factura ordine fattura bestelling factuur zamówienie faktura objednávka ordre заказ накладная");
        Add(Hint.Key, "apikey api_key api-key accesskey access_key secret_key secretkey client_secret clientsecret token access_token auth_token authtoken private_key privatekey accountkey sharedaccesskey refresh_token session_token aws_secret_access_key aws_access_key_id api key authorization dbpassword db_password");
        Add(Hint.Bearer, "bearer basic");
        Add(Hint.Nino, "nino insurance ni");
        Add(Hint.Network, "ip ipv4 ipv6 mac macaddr macaddress hwaddr ether");
        Add(Hint.Wallet, "wallet bitcoin btc ethereum eth litecoin ltc crypto wallets portemonnaie");
        Add(Hint.Section, "chapter chapters verse page pages psalm psalms genesis exodus act scene book volume vol part section figure table article line lines number no nr version grade route highway interstate room fig note footnote lot item step kapitel seite chapitre número numéro");
        Add(Hint.Month, "january february march april may june july august september october november december jan feb mar apr jun jul aug sep sept oct nov dec januar februar märz mai juni juli oktober dezember janvier février mars avril juin juillet août septembre octobre novembre décembre enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre janeiro fevereiro março maio junho julho setembro outubro novembro dezembro gennaio febbraio aprile maggio giugno luglio settembre ottobre dicembre januari februari maart mei augustus oktober stycznia lutego marca kwietnia maja czerwca lipca sierpnia września października listopada grudnia maj augusti января февраля марта апреля мая июня июля августа сентября октября ноября декабря ocak şubat mart nisan mayıs haziran temmuz ağustos eylül ekim kasım aralık ledna února března dubna května června července srpna září října listopadu prosince");
        Add(Hint.StreetAfterName, StreetWords.AfterName);
        Add(Hint.StreetAfterName | Hint.StreetNumbered, StreetWords.AfterNameNumbered);
        Add(Hint.StreetBeforeName, StreetWords.BeforeName);
        return new WordTable(words);
    }

    private static Dictionary<char, List<(string Word, Hint Hint)>> BuildIdeographic()
    {
        var words = new Dictionary<char, List<(string Word, Hint Hint)>>();
        void Add(Hint hint, string list)
        {
            foreach (var word in list.Split(' '))
            {
                if (!words.TryGetValue(Folding.Fold(word[0]), out var known))
                    words[Folding.Fold(word[0])] = known = [];
                known.Add((Folding.Word(word), hint));
                known.Sort((left, right) => right.Word.Length.CompareTo(left.Word.Length));
            }
        }

        Add(Hint.Phone, "電話 电话 手機 手机 携帯 전화 휴대폰 連絡先 联系方式 핸드폰");
        Add(Hint.Birth, "生年月日 出生日期 出生年月 誕生日 生日 생년월일 생일 出生于 生まれ");
        Add(Hint.Passport, "パスポート 旅券 护照 護照 여권");
        Add(Hint.Licence, "運転免許 免許証 驾驶证 驾照 駕照 운전면허");
        Add(Hint.National, "身份证 身分證 주민등록번호 マイナンバー 個人番号");
        Add(Hint.Plate, "车牌 車牌 차량번호");
        Add(Hint.Medical, "病历号 病歷號 カルテ 診察券 患者番号 의무기록 환자번호 病案号");
        Add(Hint.Address, "住所 地址 住址 주소 住在");
        Add(Hint.Card, "カード 信用卡 카드 银行卡");
        Add(Hint.Secret, "パスワード 密码 密碼 비밀번호 暗証番号");
        Add(Hint.Position, "緯度 経度 纬度 经度 坐标 위도 경도");
        return words;
    }
}
