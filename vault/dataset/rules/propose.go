package rules

import "cipherdeck/vault/dataset"

// Reason says why a rule is proposed.
type Reason struct {
	Column string
	Kind   dataset.Kind
	Rule   Rule
	Why    string
}

// Propose writes rules for all columns of p, with a reason for each that is
// not kept. It knows what dataset.Detect found, and no more: a person has to
// read it.
func Propose(p *dataset.Profile) (*File, []Reason) {
	f := &File{Version: 1, Other: Refuse}
	var why []Reason
	for _, c := range p.Columns {
		r, because := propose(c)
		r.Column = c.Name
		f.Columns = append(f.Columns, r)
		if r.Action != Keep {
			why = append(why, Reason{c.Name, c.Kind, r, because})
		}
	}
	return f, why
}

func propose(c dataset.ColumnProfile) (Rule, string) {
	if c.Type == dataset.Unread || c.Type == dataset.Nested {
		return Rule{Action: Drop}, "its cells were not read, so nothing is known of it"
	}
	switch c.Kind {
	case dataset.Email, dataset.IBAN, dataset.Phone:
		return Rule{Action: Token}, "points at one person; a token can still be counted and joined"
	case dataset.Identifier:
		return Rule{Action: Token}, "hardly two rows share a value; a token can still be joined"
	case dataset.Card:
		return Rule{Action: Mask, Last: 4}, "a card number; the last four digits are what receipts show"
	case dataset.Name, dataset.Address:
		return Rule{Action: Drop}, "points at one person and says nothing else"
	case dataset.FreeText:
		return Rule{Action: Drop}, "sentences can hold anything, and no rule cleans them"
	case dataset.BirthDate:
		return Rule{Action: Generalise, To: "year"}, "with sex and postcode the day finds most people"
	case dataset.Postcode:
		return Rule{Action: Generalise, Prefix: 2}, "with sex and date of birth it finds most people"
	}
	if c.Sensitive {
		return Rule{Action: Drop}, "marked sensitive"
	}
	return Rule{Action: Keep}, ""
}
