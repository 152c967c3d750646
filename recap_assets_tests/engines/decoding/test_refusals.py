"""What counts as a refusal, and which captions only look like one."""

import pytest

from recap_assets.engines.decoding.refusals import DECLINED, NO_IMAGE, refusal_of

_DECLINED = [
    "I'm sorry, but I can't assist with that.",
    "I\u2019m sorry, I can\u2019t help with identifying people in this photo.",
    "I am very sorry, but I am unable to describe this image.",
    "Sorry, I cannot provide a description of the image.",
    "I cannot identify the person in this picture.",
    "I'm not able to help with that request.",
    "I won't describe this content.",
    "**I can't assist with this request.**",
    "I apologize, but I'm unable to view images.",
    "Unfortunately, I am not able to generate a caption.",
    "As an AI language model, I have no eyes.",
    "As an AI, I cannot see pictures.",
    "I must decline to describe it.",
    "  Unable to process the image.",
    "I'm not comfortable describing this image.",
    "Es tut mir leid, aber ich kann dieses Bild nicht beschreiben.",
    "Ich kann Ihnen dabei leider nicht helfen.",
    "Als KI-Sprachmodell habe ich keine Augen.",
    "Je suis désolé, mais je ne peux pas décrire cette image.",
    "Désolé, je ne suis pas en mesure d'identifier cette personne.",
    "Lo siento, pero no puedo ayudar con eso.",
    "No puedo identificar a las personas de la imagen.",
    "Desculpe, mas não posso descrever esta imagem.",
    "Mi dispiace, ma non posso aiutarti con questa richiesta.",
    "Het spijt me, maar ik kan deze afbeelding niet beschrijven.",
    "Tyvärr kan jag inte beskriva bilden.",
    "Przepraszam, ale nie mogę opisać tego obrazu.",
    "Извините, но я не могу описать это изображение.",
    "Üzgünüm, bu görüntüyü açıklayamam.",
    "Maaf, saya tidak dapat mendeskripsikan gambar ini.",
    "Xin lỗi, tôi không thể mô tả hình ảnh này.",
    "抱歉，我无法描述这张图片。",
    "很抱歉，我不能协助处理这个请求。",
    "我无法识别图片中的人物。",
    "對不起，我無法提供這張圖片的描述。",
    "申し訳ありませんが、この画像を説明することはできません。",
    "죄송합니다. 이 이미지를 설명할 수 없습니다.",
    "عذرًا، لا يمكنني وصف هذه الصورة.",
    "क्षमा करें, मैं इस छवि का वर्णन नहीं कर सकता।",
]
_NO_IMAGE = [
    "I don't see an image in your message.",
    "I'm sorry, but I don't see any image attached.",
    "I'm sorry, but there is no image provided.",
    "No image was provided.",
    "It seems that no image was attached.",
    "Please upload an image so that I can describe it.",
    "Ich sehe kein Bild.",
    "Bitte laden Sie ein Bild hoch.",
    "Je ne vois pas d'image.",
    "No veo ninguna imagen.",
    "Não vejo nenhuma imagem.",
    "Я не вижу изображения.",
    "我没有看到图片。",
    "请上传图片，我会为您描述。",
    "画像が見えません。",
    "이미지가 첨부되지 않았습니다.",
]
_CAPTIONS = [
    "",
    "A dog runs over a meadow.",
    "Sorry, we're closed, reads a sign in a shop window.",
    "I can't believe it's not butter, a yellow tub of spread",
    "A poster that says: I'm sorry, I can't help you.",
    "I am sorry card with flowers",
    "A robot with the words As an AI language model on its chest",
    "Unfortunately named street sign in a village",
    "No image of the moon is as sharp as this one",
    "Please provide feedback, says a form on a table.",
    "I see a cat that cannot reach the shelf to help itself.",
    "A woman can't see the camera. I cannot describe her mood.",
    "Ein Schild mit der Aufschrift: Tut mir leid, wir haben geschlossen",
    "Tut mir leid, heute geschlossen",
    "Leider ausverkauft, steht auf dem Plakat, und kein Bild hängt daneben",
    "Ein Mann, der nicht sehen kann, mit seinem Hund",
    "Lo siento, estamos cerrados",
    "No hay nadie en la playa",
    "Un cartel que dice: no puedo vivir sin ti",
    "Désolé, nous sommes fermés",
    "Une femme qui ne peut pas voir la caméra",
    "Non è una pipa, dipinto",
    "Кот не может достать рыбу",
    "对不起，今天休息，商店门口的牌子",
    "一个人不能进入的房间",
    "一张没有人的海滩的图片",
    "立入禁止の看板",
    "죄송합니다라고 적힌 표지판",
]


@pytest.mark.parametrize("text", _DECLINED)
def test_a_model_that_declines_is_told(text):
    assert refusal_of(text) == DECLINED


@pytest.mark.parametrize("text", _NO_IMAGE)
def test_a_model_that_sees_no_image_is_told(text):
    assert refusal_of(text) == NO_IMAGE


@pytest.mark.parametrize("text", _CAPTIONS)
def test_a_caption_is_no_refusal(text):
    assert refusal_of(text) is None


def test_only_the_beginning_is_read_and_in_linear_time():
    assert refusal_of("A dog. " * 100 + "I'm sorry, but I can't assist with that.") is None
    assert refusal_of("sorry " * 100_000) is None
    assert refusal_of("i'm " + "very " * 100_000) is None
