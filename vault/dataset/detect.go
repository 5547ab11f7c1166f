package dataset

import (
	"strings"
	"unicode"
)

// Kind is what a column seems to hold.
type Kind string

// The kinds that Detect knows. Each can point at a person.
const (
	Email      Kind = "e-mail"
	Phone      Kind = "phone"
	IBAN       Kind = "iban"
	Card       Kind = "card"
	Name       Kind = "name"
	Address    Kind = "address"
	Postcode   Kind = "postcode"
	BirthDate  Kind = "birth-date"
	FreeText   Kind = "free-text"
	Identifier Kind = "identifier"
)

// most is the share of cells that must look alike: some are always wrong.
const most = 0.8

// Detect marks the columns of p that seem to hold something personal, from
// their names and the sample. It is a proposal: it can miss a column, above all
// a rare address inside other text, and it can accuse a harmless one.
func Detect(p *Profile) {
	for j := range p.Columns {
		c := &p.Columns[j]
		c.Kind = detect(c, p.Rows, sampleOf(p, j))
		c.Sensitive = c.Kind != ""
	}
}

// sampleOf is the sample of column j without its nulls.
func sampleOf(p *Profile, j int) []string {
	var out []string
	for _, row := range p.Sample {
		if j < len(row) && !Null([]byte(row[j])) {
			out = append(out, row[j])
		}
	}
	return out
}

func detect(c *ColumnProfile, rows int64, cells []string) Kind {
	words := wordsOf(c.Name)
	plain := c.Type == Text || c.Type == Integer
	switch {
	case len(cells) == 0:
		return hinted(words)
	case share(cells, isEmail) >= most:
		return Email
	case share(cells, isIBAN) >= most:
		return IBAN
	case plain && share(cells, isCard) >= most:
		return Card
	case c.Type == Date && (hinted(words) == BirthDate || lifetimes(c)):
		return BirthDate
	case c.Type == Text && share(cells, isPhone) >= most:
		return Phone
	case share(cells, isUKPostcode) >= most:
		return Postcode
	case c.Type == Text && hinted(words) == "" && isFreeText(cells):
		return FreeText
	case plain && hinted(words) != "" && hinted(words) != BirthDate:
		return hinted(words)
	case c.Type == Text && unlike(c, rows, 0.5) && share(cells, isPersonName) >= most:
		return Name
	case plain && unlike(c, rows, 0.9):
		return Identifier
	}
	return ""
}

// unlike reports that hardly two rows share a value.
func unlike(c *ColumnProfile, rows int64, least float64) bool {
	cells := rows - c.Nulls
	return cells >= 20 && float64(c.Distinct) >= least*float64(cells)
}

// lifetimes reports dates that begin before 1990 and span 20 years: few other
// columns of dates do.
func lifetimes(c *ColumnProfile) bool {
	from, a := ParseDay(c.Min, "")
	to, b := ParseDay(c.Max, "")
	return a && b && from.Year > 1880 && from.Year < 1990 && to.Year-from.Year >= 20
}

// hint is a word in a column's name and what it gives away.
type hint struct {
	kind  Kind
	words string
}

// hints in English, German, French, Spanish and Italian.
var hints = [...]hint{
	{Email, "email mail emails correo courriel"},
	{Phone, "phone telephone tel mobile fax telefon handy telefono cell cellphone"},
	{IBAN, "iban"},
	{Card, "creditcard cardnumber pan"},
	{BirthDate, "born birth birthday birthdate dob geburtsdatum geburtstag geboren naissance nacimiento nascita"},
	{Postcode, "zip zipcode postcode postal postalcode plz postleitzahl cap cp"},
	{Address, "address addr street adresse strasse straße rue calle via anschrift direccion indirizzo"},
	{Name, "name names firstname lastname surname forename fullname vorname nachname familienname nom prenom nombre apellido apellidos cognome"},
	{Identifier, "id uuid guid ssn passport mrn nhs patientid customerid userid svnr insee dni nino"},
}

func hinted(words []string) Kind {
	for _, h := range hints {
		for _, known := range strings.Fields(h.words) {
			for _, w := range words {
				if w == known {
					return h.kind
				}
			}
		}
	}
	return ""
}

// wordsOf splits patient_id, patientId and "Patient ID" alike.
func wordsOf(name string) []string {
	var b strings.Builder
	lower := false
	for _, r := range name {
		switch {
		case !unicode.IsLetter(r):
			r = ' '
		case lower && unicode.IsUpper(r):
			b.WriteByte(' ')
		}
		lower = unicode.IsLower(r)
		b.WriteRune(unicode.ToLower(r))
	}
	return strings.Fields(b.String())
}

func share(cells []string, is func(string) bool) float64 {
	n := 0
	for _, c := range cells {
		if is(strings.TrimSpace(c)) {
			n++
		}
	}
	return float64(n) / float64(len(cells))
}
