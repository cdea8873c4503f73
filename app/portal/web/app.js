// The page: two panels and the pill. Each knows its own part of the page only.

import { faq } from "./faq.js";
import { picture } from "./picture.js";
import { watch } from "./status.js";

const byID = (id) => document.getElementById(id);

faq(byID("faq-form"), byID("faq-result"), byID("faq-said"));
picture(byID("picture-form"), byID("picture-result"), byID("picture-said"));
watch(byID("status"), byID("status-text"));
