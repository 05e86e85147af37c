"""Names of people, companies and places beside a word that ties them to the company, by a small model of English."""
