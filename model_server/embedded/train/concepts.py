"""What the embedded model learns to draw: common, concrete things, each named as people say it.

`COMMON` are seen three times as often as `OTHERS`, because a demonstration is judged by its fox and its pizza;
`LATER` joined in the second stage of training and are seen as often as the common ones, to catch up.
No flags, people, skin tones, symbols or weapons. Each line: name | emojibase label | other words for it.
"""

from __future__ import annotations

from dataclasses import dataclass

_COMMON = """
dog|dog face|puppy,hound
cat|cat face|kitten,kitty
fox|fox|vixen
panda|panda|panda bear
lion|lion|
tiger|tiger face|
koala|koala|
bear|bear|grizzly bear,brown bear
rabbit|rabbit face|bunny,hare
mouse|mouse face|
pig|pig face|piglet
cow|cow face|cattle
monkey|monkey face|ape
horse|horse face|pony
unicorn|unicorn|
frog|frog|toad
penguin|penguin|
owl|owl|
chick|baby chick|baby bird
duck|duck|duckling
elephant|elephant|
turtle|turtle|tortoise
whale|spouting whale|
dolphin|dolphin|
fish|tropical fish|
octopus|octopus|
crab|crab|
butterfly|butterfly|moth
bee|honeybee|bumblebee
ladybug|lady beetle|ladybird,beetle
snail|snail|
sunflower|sunflower|
rose|rose|
tulip|tulip|
cherry blossom|cherry blossom|sakura,pink flower
cactus|cactus|
tree|deciduous tree|oak
pine tree|evergreen tree|fir tree,forest
palm tree|palm tree|
christmas tree|Christmas tree|
mushroom|mushroom|toadstool
apple|red apple|red apple
banana|banana|
orange|tangerine|tangerine,mandarin
lemon|lemon|
grapes|grapes|grape
strawberry|strawberry|
watermelon|watermelon|melon slice
pineapple|pineapple|ananas
cherries|cherries|cherry
avocado|avocado|
carrot|carrot|
tomato|tomato|
bread|bread|loaf,toast
cheese|cheese wedge|
hamburger|hamburger|burger,cheeseburger
pizza|pizza|slice of pizza
ice cream|soft ice cream|gelato,ice cream cone
doughnut|doughnut|donut
birthday cake|birthday cake|cake
coffee|hot beverage|cup of tea,hot drink,espresso
house|house|home,cottage
castle|castle|fortress
mountain|snow-capped mountain|alps,peak
volcano|volcano|
rainbow|rainbow|
sun|sun with face|sunshine
moon|crescent moon|crescent
star|star|
snowman|snowman without snow|
fire|fire|flame,bonfire
car|automobile|automobile,red car
bus|bus|coach
train|locomotive|steam train,steam engine
bicycle|bicycle|bike
airplane|airplane|aeroplane,plane,jet
rocket|rocket|spaceship
sailboat|sailboat|sailing boat,yacht
hot air balloon|balloon|balloon,red balloon
guitar|guitar|
soccer ball|soccer ball|football
teddy bear|teddy bear|stuffed toy
gift|wrapped gift|present
light bulb|light bulb|lamp,idea
books|books|stack of books
camera|camera|
robot|robot|android
pumpkin|jack-o-lantern|halloween pumpkin
"""

_OTHERS = """
wolf|wolf|
raccoon|raccoon|
zebra|zebra|
sheep|ewe|lamb
giraffe|giraffe|
hedgehog|hedgehog|
polar bear|polar bear|
rooster|rooster|cockerel
chicken|chicken|hen
swan|swan|
flamingo|flamingo|
peacock|peacock|
parrot|parrot|
crocodile|crocodile|alligator
snake|snake|serpent
dragon|dragon face|
dinosaur|T-Rex|tyrannosaurus
shark|shark|
shell|spiral shell|seashell
jellyfish|jellyfish|
lobster|lobster|
caterpillar|bug|
hibiscus|hibiscus|
seedling|seedling|sprout
potted plant|potted plant|houseplant
clover|four leaf clover|
maple leaf|maple leaf|autumn leaf
mango|mango|
pear|pear|
peach|peach|
blueberries|blueberries|blueberry
kiwi|kiwi fruit|
coconut|coconut|
eggplant|eggplant|aubergine
potato|potato|
corn|ear of corn|maize
broccoli|broccoli|
croissant|croissant|
pretzel|pretzel|
pancakes|pancakes|
french fries|french fries|chips
hot dog|hot dog|sausage
sandwich|sandwich|
taco|taco|
fried egg|cooking|egg
popcorn|popcorn|
cookie|cookie|biscuit
cupcake|cupcake|muffin
chocolate|chocolate bar|
lollipop|lollipop|
milk|glass of milk|
teapot|teapot|
school|school|
office building|office building|skyscraper,tower
church|church|chapel
ferris wheel|ferris wheel|
tent|tent|camping tent
island|desert island|
beach|beach with umbrella|seaside
fire engine|fire engine|fire truck
police car|police car|
taxi|taxi|cab
truck|delivery truck|lorry,van
tractor|tractor|
motorcycle|motorcycle|motorbike
helicopter|helicopter|
ship|ship|ocean liner,boat
anchor|anchor|
ufo|flying saucer|
traffic light|vertical traffic light|
alarm clock|alarm clock|clock
planet|ringed planet|saturn
full moon|full moon|
cloud|cloud|
lightning|high voltage|thunder
snowflake|snowflake|snow
umbrella|umbrella with rain drops|
wave|water wave|sea
globe|globe showing Europe-Africa|earth
trophy|trophy|
basketball|basketball|
kite|kite|
dice|game die|die
glasses|glasses|spectacles
t-shirt|t-shirt|shirt
crown|crown|
top hat|top hat|
bell|bell|
violin|violin|
drum|drum|
laptop|laptop|computer
candle|candle|
envelope|envelope|letter
pencil|pencil|
key|key|
door|door|
chair|chair|
"""

_LATER = """
gorilla|gorilla|
deer|deer|stag
goat|goat|
camel|camel|
kangaroo|kangaroo|
sloth|sloth|
otter|otter|
squirrel|chipmunk|chipmunk
bat|bat|
eagle|eagle|hawk
bird|bird|sparrow,robin
seal|seal|sea lion
hippo|hippopotamus|hippopotamus
rhino|rhinoceros|rhinoceros
llama|llama|alpaca
leopard|leopard|cheetah
hamster|hamster|guinea pig
spider|spider|
ant|ant|
lizard|lizard|gecko
squid|squid|
shrimp|shrimp|prawn
lotus|lotus|water lily
melon|melon|cantaloupe
green apple|green apple|
chili|hot pepper|chilli,hot pepper
pepper|bell pepper|bell pepper,paprika
cucumber|cucumber|
onion|onion|
garlic|garlic|
peanuts|peanuts|peanut
bagel|bagel|
waffle|waffle|
bacon|bacon|
salad|green salad|
sushi|sushi|
ramen|steaming bowl|noodles,noodle soup
spaghetti|spaghetti|pasta
pie|pie|
candy|candy|sweets
honey|honey pot|honey pot
wine glass|wine glass|wine,glass of wine
beer|beer mug|mug of beer
hospital|hospital|
factory|factory|
stadium|stadium|arena
fountain|fountain|
circus tent|circus tent|circus
ambulance|ambulance|
racing car|racing car|race car
skateboard|skateboard|
scooter|motor scooter|
tram|tram|streetcar
speedboat|speedboat|
suitcase|luggage|luggage
watch|watch|wristwatch
baseball|baseball|
tennis racket|tennis|tennis ball,tennis
bowling|bowling|
puzzle piece|puzzle piece|jigsaw
joystick|joystick|
gamepad|video game|controller
palette|artist palette|paint palette
yarn|yarn|ball of wool
party popper|party popper|confetti
piano|musical keyboard|
trumpet|trumpet|
saxophone|saxophone|
microphone|microphone|
headphones|headphone|headphone
television|television|tv
telephone|telephone|
phone|mobile phone|smartphone,mobile phone
magnifying glass|magnifying glass tilted left|
backpack|backpack|rucksack
handbag|handbag|purse
shoe|running shoe|sneaker
dress|dress|
jeans|jeans|trousers
scarf|scarf|
gem|gem stone|diamond,jewel
ring|ring|diamond ring
scissors|scissors|
lock|locked|padlock
hammer|hammer|
telescope|telescope|
microscope|microscope|
bed|bed|
couch|couch and lamp|sofa
bathtub|bathtub|
broom|broom|
basket|basket|
"""

COMMON_WEIGHT, LATER_WEIGHT = 3.0, 3.0
"""How much oftener a common concept is drawn than another, and one that came in the second stage."""


@dataclass(frozen=True, slots=True)
class Concept:
    """One thing the model draws: how people call it, the artwork's label, other words, and its share in training."""

    name: str
    label: str
    synonyms: tuple[str, ...]
    weight: float


def _parse(lines: str, weight: float) -> list[Concept]:
    concepts = []
    for line in lines.strip().splitlines():
        name, label, synonyms = line.split("|")
        concepts.append(Concept(name, label, tuple(s for s in synonyms.split(",") if s), weight))
    return concepts


COMMON = tuple(_parse(_COMMON, COMMON_WEIGHT))
OTHERS = tuple(_parse(_OTHERS, 1.0))
LATER = tuple(_parse(_LATER, LATER_WEIGHT))
CONCEPTS = COMMON + OTHERS + LATER
